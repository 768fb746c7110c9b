"""The socket lane: the same servicers, without gRPC between."""
