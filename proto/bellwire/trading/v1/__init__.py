"""Generated from proto/bellwire/trading/v1/*.proto by `make gen`."""
