"""CODEC_LZ4_BLOCK: one raw LZ4 block; its size travels in the batch header."""

from __future__ import annotations

from typing import Final

import lz4.block

from bellwire.wire.errors import BatchCorruptError, BatchSizeError

RATIO_MAX: Final = 255  # The LZ4 block format cannot expand further; a higher claim is a lie.


def pack(data: bytes) -> bytes:
    """Compress with the fast mode, without the size prefix."""
    packed: bytes = lz4.block.compress(data, store_size=False)
    return packed


def unpack(block: bytes, size_bytes: int) -> bytes:
    """Decompress to exactly `size_bytes`; the caller has bounded that number.

    Raises:
        BatchSizeError: The block opens to another size, or could not reach the size promised.
        BatchCorruptError: The block is no LZ4 block.
    """
    if size_bytes > RATIO_MAX * len(block):
        raise BatchSizeError(
            f"header promises {size_bytes} bytes from a block of {len(block)}: "
            f"LZ4 expands at most {RATIO_MAX} times",
            metadata={"expected": str(size_bytes), "block_bytes": str(len(block))},
        )
    try:
        data: bytes = lz4.block.decompress(block, uncompressed_size=size_bytes)
    except lz4.block.LZ4BlockError as error:
        raise BatchCorruptError(
            f"LZ4 block of {len(block)} bytes does not open to the {size_bytes} bytes its header says: "
            f"{error}; send it again",
            metadata={"expected": str(size_bytes)},
        ) from None
    if len(data) != size_bytes:
        raise BatchSizeError(
            f"LZ4 block opens to {len(data)} bytes, its header says {size_bytes}",
            metadata={"found": str(len(data)), "expected": str(size_bytes)},
        )
    return data
