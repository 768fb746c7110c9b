"""Generated from proto/bellwire/mcp/v1/*.proto by `make gen`."""
