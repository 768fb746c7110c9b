"""The coordinator: owns topics, subscriptions and agents, and routes between them."""
