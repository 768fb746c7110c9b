"""One servicer per proto service: decode, authorise, call the core, encode."""
