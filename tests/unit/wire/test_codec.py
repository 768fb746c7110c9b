"""bellwire.wire.codec: blocks open to exactly the promised size, or not at all."""

from __future__ import annotations

import pytest

from bellwire.wire.codec import identity, lz4
from bellwire.wire.errors import BatchCorruptError, BatchSizeError

DATA = b"EURUSD 1.0843 " * 100


@pytest.mark.parametrize("codec", [identity, lz4])
def test_what_is_packed_unpacks_to_itself(codec):
    assert codec.unpack(codec.pack(DATA), len(DATA)) == DATA


def test_identity_refuses_another_size():
    with pytest.raises(BatchSizeError, match="holds 1400 bytes, its header says 1399"):
        identity.unpack(DATA, len(DATA) - 1)


def test_lz4_refuses_a_block_that_opens_to_less():
    with pytest.raises(BatchSizeError, match="opens to 1400 bytes, its header says 1401"):
        lz4.unpack(lz4.pack(DATA), len(DATA) + 1)


def test_lz4_refuses_a_block_that_would_open_to_more():
    with pytest.raises(BatchCorruptError, match="does not open to the 1399 bytes"):
        lz4.unpack(lz4.pack(DATA), len(DATA) - 1)


def test_lz4_refuses_an_empty_block():
    with pytest.raises(BatchSizeError, match="1 bytes from a block of 0"):
        lz4.unpack(b"", 1)
