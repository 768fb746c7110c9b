"""Generated from proto/bellwire/bus/v1/*.proto by `make gen`."""
