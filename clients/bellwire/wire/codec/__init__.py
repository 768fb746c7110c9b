"""Block codecs, one module each."""

from bellwire.wire.codec import identity, lz4

__all__ = ["identity", "lz4"]
