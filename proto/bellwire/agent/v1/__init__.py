"""Generated from proto/bellwire/agent/v1/*.proto by `make gen`."""
