"""CODEC_NONE: the block is the serialized MessageBlock itself."""

from __future__ import annotations

from bellwire.wire.errors import BatchSizeError


def pack(data: bytes) -> bytes:
    """Return the data as it is."""
    return data


def unpack(block: bytes, size_bytes: int) -> bytes:
    """Return the block as it is.

    Raises:
        BatchSizeError: The block has another size than promised.
    """
    if len(block) != size_bytes:
        raise BatchSizeError(
            f"block holds {len(block)} bytes, its header says {size_bytes}",
            metadata={"found": str(len(block)), "expected": str(size_bytes)},
        )
    return block
