"""What every gRPC server of ours has: services put on it from their descriptors, statuses with reasons, reflection."""
