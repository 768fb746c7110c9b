"""The socket lane: RPCs as length-prefixed frames over a Unix socket, one connection for each stream."""
