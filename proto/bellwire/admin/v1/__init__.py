"""Generated from proto/bellwire/admin/v1/*.proto by `make gen`."""
