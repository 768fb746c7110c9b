"""Batches of any messages open to themselves, and no damage to one goes unnoticed."""

from __future__ import annotations

import contextlib
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    CODEC_NONE,
    Batch,
    BatchHeader,
    Codec,
    Message,
)
from bellwire.wire.batch import BLOCK_BYTES_MAX, encode_batch, open_batch
from bellwire.wire.errors import CallerError, InvalidBatchError

U64 = st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=20)
MESSAGES = st.lists(
    st.builds(
        Message,
        id=st.uuids().map(str),
        data=st.binary(max_size=200) | st.binary(min_size=1, max_size=4).map(lambda b: b * 200),
        type=TEXT,
        key=TEXT,
        subject=TEXT,
        time_unix_nano=U64,
        expire_time_unix_nano=U64,
        attributes=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    min_size=1,
    max_size=20,
)
COMPRESS_ABOVE = st.sampled_from([0, 512, 1 << 30])


@given(MESSAGES, COMPRESS_ABOVE)
def test_what_is_encoded_opens_to_the_same_messages(messages: list[Message], above: int):
    batch = encode_batch("t", 3, messages, compress_above_bytes=above)
    received = Batch.FromString(batch.SerializeToString())
    assert list(open_batch(received)) == messages
    assert received.header.crc32 == crc32(received.block)
    assert received.header.codec in (CODEC_NONE, CODEC_LZ4_BLOCK)
    assert len(received.block) <= received.header.uncompressed_bytes


@given(MESSAGES)
def test_plain_messages_open_to_themselves(messages: list[Message]):
    header = BatchHeader(topic="t", message_count=len(messages))
    batch = Batch(header=header, messages=messages)
    assert list(open_batch(Batch.FromString(batch.SerializeToString()))) == messages


@settings(max_examples=60)
@given(MESSAGES, COMPRESS_ABOVE, st.data())
def test_a_changed_byte_never_opens(messages: list[Message], above: int, data: st.DataObject):
    batch = encode_batch("t", 0, messages, compress_above_bytes=above)
    at = data.draw(st.integers(0, len(batch.block) - 1))
    flip = data.draw(st.integers(1, 255))
    block = bytearray(batch.block)
    block[at] ^= flip
    batch.block = bytes(block)
    try:
        open_batch(batch)
    except InvalidBatchError:
        return
    raise AssertionError("a damaged block was opened")


@given(MESSAGES, COMPRESS_ABOVE, st.integers(1, 1_000), st.integers(1, 1 << 20))
def test_a_header_that_lies_never_opens(
    messages: list[Message], above: int, count: int, size_bytes: int
):
    batch = encode_batch("t", 0, messages, compress_above_bytes=above)
    honest = (batch.header.message_count, batch.header.uncompressed_bytes)
    batch.header.message_count, batch.header.uncompressed_bytes = count, size_bytes
    try:
        opened = open_batch(batch)
    except InvalidBatchError:
        assert (count, size_bytes) != honest
    else:
        assert (count, size_bytes) == honest
        assert list(opened) == messages


@given(
    st.binary(max_size=300),
    st.sampled_from([CODEC_NONE, CODEC_LZ4_BLOCK]),
    st.integers(0, 2_000),
    st.integers(0, 2 * BLOCK_BYTES_MAX),
)
def test_garbage_is_refused_by_name_or_is_a_batch(
    block: bytes, codec: Codec.ValueType, count: int, size: int
):
    header = BatchHeader(
        topic="t", codec=codec, message_count=count, uncompressed_bytes=size, crc32=crc32(block)
    )
    with contextlib.suppress(CallerError):
        assert len(open_batch(Batch(header=header, block=block))) == count
