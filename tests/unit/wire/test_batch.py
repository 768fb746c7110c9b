"""bellwire.wire.batch: what is encoded opens again, and every lie of a header is refused by name."""

from __future__ import annotations

import random
from typing import Any
from zlib import crc32

import lz4.block
import pytest

from bellwire.bus.v1.message_pb2 import (
    CODEC_LZ4_BLOCK,
    CODEC_NONE,
    Batch,
    BatchHeader,
    Message,
    MessageBlock,
)
from bellwire.wire.batch import (
    BLOCK_BYTES_MAX,
    BatchLimits,
    block_bytes,
    check_message_sizes,
    encode_batch,
    open_batch,
)
from bellwire.wire.errors import (
    BatchChecksumError,
    BatchCorruptError,
    BatchCountError,
    BatchSizeError,
    CallerError,
    InvalidBatchError,
    PayloadTooLargeError,
    UnknownCodecError,
)
from bellwire.wire.message import new_message

COMPRESSIBLE = b"bid 1.0843 ask 1.0844 " * 50


def messages(count: int = 3, data: bytes = COMPRESSIBLE) -> list[Message]:
    return [new_message(data=data, key=f"K{index}") for index in range(count)]


def batch_of(block: bytes, **header: Any) -> Batch:
    """A batch whose header is right about its block except for what is given."""
    fields: dict[str, Any] = {
        "codec": CODEC_NONE,
        "message_count": 1,
        "uncompressed_bytes": len(block),
        "crc32": crc32(block),
        **header,
    }
    return Batch(header=BatchHeader(topic="t", **fields), block=block)


def test_a_small_batch_stays_uncompressed_and_says_so():
    batch = encode_batch("t", 0, messages(1, b"x"))
    assert batch.header.codec == CODEC_NONE
    assert batch.header.uncompressed_bytes == len(batch.block)


def test_a_large_batch_is_one_raw_lz4_block_without_a_size_prefix():
    batch = encode_batch("t", 0, messages())
    assert batch.header.codec == CODEC_LZ4_BLOCK
    data = lz4.block.decompress(batch.block, uncompressed_size=batch.header.uncompressed_bytes)
    assert len(MessageBlock.FromString(data).messages) == 3


def test_what_lz4_cannot_shrink_travels_as_it_is():
    noise = random.Random(1).randbytes(2_000)
    batch = encode_batch("t", 0, [new_message(data=noise)], compress_above_bytes=0)
    assert batch.header.codec == CODEC_NONE
    assert open_batch(batch)[0].data == noise


def test_the_header_tells_times_producer_and_crc_without_opening_the_block():
    given = [new_message(data=b"a", time_unix_nano=time) for time in (30, 10, 20)]
    header = encode_batch("t", 2, given, producer_id=7, producer_epoch=1, base_sequence=5).header
    assert (header.first_time_unix_nano, header.last_time_unix_nano) == (10, 30)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 5)
    assert (header.partition, header.message_count) == (2, 3)


@pytest.mark.parametrize(
    ("expiries", "least", "most"),
    [((0, 0), 0, 0), ((50, 40), 40, 50), ((50, 0), 50, 0)],
    ids=["none expires", "all expire", "one never expires"],
)
def test_the_header_bounds_the_expiry_of_its_messages(expiries, least, most):
    given = [new_message(data=b"a", expire_time_unix_nano=expiry) for expiry in expiries]
    header = encode_batch("t", 0, given).header
    assert header.min_expire_time_unix_nano == least
    assert header.max_expire_time_unix_nano == most


def test_a_batch_of_no_messages_is_not_encoded():
    with pytest.raises(InvalidBatchError, match="no messages, 1 is the least"):
        encode_batch("t", 0, [])


def test_plain_messages_open_as_they_are():
    given = messages()
    batch = Batch(header=BatchHeader(topic="t", message_count=3), messages=given)
    assert list(open_batch(batch)) == given


def test_plain_messages_beside_a_block_are_refused():
    batch = encode_batch("t", 0, messages())
    batch.messages.extend(messages(1))
    with pytest.raises(InvalidBatchError, match="both a block and plain messages"):
        open_batch(batch)


def test_a_plain_batch_whose_count_lies_is_refused():
    batch = Batch(header=BatchHeader(topic="t", message_count=4), messages=messages(3))
    with pytest.raises(BatchCountError, match="holds 3 messages, its header says 4"):
        open_batch(batch)


@pytest.mark.parametrize("lie", [2, 4])
def test_a_count_that_lies_is_refused_with_both_numbers(lie):
    batch = encode_batch("t", 0, messages(3))
    batch.header.message_count = lie
    with pytest.raises(BatchCountError) as caught:
        open_batch(batch)
    assert caught.value.metadata == {"found": "3", "expected": str(lie)}
    assert f"batch holds 3 messages, its header says {lie}" in caught.value.message


@pytest.mark.parametrize("count", [0, 1001, 2**32 - 1])
def test_a_count_outside_the_limit_is_refused_before_the_block_is_opened(count):
    batch = batch_of(b"not even a block", message_count=count)
    with pytest.raises(PayloadTooLargeError, match=f"holds {count} messages, 1 to 1000"):
        open_batch(batch)


@pytest.mark.parametrize("codec", [CODEC_NONE, CODEC_LZ4_BLOCK])
@pytest.mark.parametrize("lie", [-1, 1])
def test_a_size_that_lies_is_refused(codec, lie):
    batch = encode_batch(
        "t", 0, messages(), compress_above_bytes=0 if codec == CODEC_LZ4_BLOCK else 1 << 30
    )
    assert batch.header.codec == codec
    batch.header.uncompressed_bytes += lie
    # A block that opens to more than was promised is stopped by LZ4 itself, before it overruns.
    with pytest.raises((BatchSizeError, BatchCorruptError)) as caught:
        open_batch(batch)
    assert str(batch.header.uncompressed_bytes) in caught.value.message


def test_a_size_above_the_limit_is_refused_before_anything_is_opened():
    limits = BatchLimits(bytes_max=1 << 20)
    batch = batch_of(b"x", codec=CODEC_LZ4_BLOCK, uncompressed_bytes=(1 << 20) + 1)
    with pytest.raises(PayloadTooLargeError, match=r"holds 1048577 bytes.*1 to 1048576"):
        open_batch(batch, limits)


def test_no_limit_setting_opens_a_block_above_4_mib():
    limits = BatchLimits(bytes_max=1 << 40)
    block = lz4.block.compress(bytes(BLOCK_BYTES_MAX + 1), store_size=False)
    batch = batch_of(block, codec=CODEC_LZ4_BLOCK, uncompressed_bytes=BLOCK_BYTES_MAX + 1)
    with pytest.raises(PayloadTooLargeError, match="1 to 4194304 are allowed"):
        open_batch(batch, limits)


def test_a_promise_lz4_cannot_keep_is_refused_without_allocating_it():
    batch = batch_of(b"\x1f" * 100, codec=CODEC_LZ4_BLOCK, uncompressed_bytes=255 * 100 + 1)
    with pytest.raises(BatchSizeError, match=r"25501 bytes from a block of 100.*255 times"):
        open_batch(batch)


def test_a_real_bomb_within_the_ratio_is_bounded_by_its_own_header():
    zeros = 1 << 20
    block = lz4.block.compress(bytes(zeros), store_size=False)
    assert zeros // len(block) > 200  # A bomb indeed.
    batch = batch_of(block, codec=CODEC_LZ4_BLOCK, uncompressed_bytes=len(block))
    with pytest.raises(BatchCorruptError, match=f"does not open to the {len(block)} bytes"):
        open_batch(batch)


def test_an_empty_block_is_refused():
    with pytest.raises(PayloadTooLargeError, match="holds 0 bytes uncompressed"):
        open_batch(batch_of(b"", message_count=1))


def test_a_wrong_crc_is_refused_with_both_values():
    batch = encode_batch("t", 0, messages())
    batch.header.crc32 ^= 1
    with pytest.raises(BatchChecksumError) as caught:
        open_batch(batch)
    assert caught.value.metadata["expected"] == f"{batch.header.crc32:#010x}"


def test_a_flipped_bit_of_the_block_is_caught_by_the_crc():
    batch = encode_batch("t", 0, messages())
    damaged = bytearray(batch.block)
    damaged[len(damaged) // 2] ^= 0x10
    batch.block = bytes(damaged)
    with pytest.raises(BatchChecksumError):
        open_batch(batch)


@pytest.mark.parametrize("codec", [3, 99])
def test_an_unknown_codec_is_refused_by_its_number(codec):
    batch = encode_batch("t", 0, messages())
    batch.header.codec = codec
    with pytest.raises(UnknownCodecError) as caught:
        open_batch(batch)
    assert caught.value.metadata == {"codec": str(codec)}


def test_a_block_that_names_no_codec_is_refused():
    batch = encode_batch("t", 0, messages())
    batch.header.ClearField("codec")
    with pytest.raises(UnknownCodecError, match="names no codec"):
        open_batch(batch)


def test_garbage_with_an_honest_header_is_corrupt_lz4():
    with pytest.raises(BatchCorruptError, match="LZ4 block of 64 bytes"):
        open_batch(batch_of(b"\xff" * 64, codec=CODEC_LZ4_BLOCK, uncompressed_bytes=1000))


def test_a_truncated_message_block_is_corrupt():
    data = MessageBlock(messages=messages(1)).SerializeToString()
    with pytest.raises(BatchCorruptError, match="no serialized MessageBlock"):
        open_batch(batch_of(data[:-5]))


def test_text_that_is_no_utf8_is_corrupt():
    field_1_id = b"\x0a\x02\xff\xfe"
    block = b"\x0a" + bytes([len(field_1_id)]) + field_1_id
    with pytest.raises(BatchCorruptError):
        open_batch(batch_of(block))


def test_plain_messages_are_bounded_in_number_each_and_together():
    limits = BatchLimits(messages_max=2, bytes_max=1_000, message_bytes_max=600)
    with pytest.raises(CallerError, match="no messages were given"):
        check_message_sizes([], limits)
    with pytest.raises(PayloadTooLargeError, match="3 messages were given at once, limit is 2"):
        check_message_sizes(messages(3, b""), limits)
    with pytest.raises(PayloadTooLargeError, match=r"message 1 holds .* limit is 600") as caught:
        check_message_sizes([*messages(1, b""), *messages(1, bytes(700))], limits)
    assert caught.value.metadata["index"] == "1"
    with pytest.raises(PayloadTooLargeError, match="together, limit is 1000"):
        check_message_sizes(messages(2, bytes(500)), limits)
    check_message_sizes(messages(2, bytes(400)), limits)


def test_the_length_of_a_block_is_known_whatever_its_codec():
    noise = random.Random(7).randbytes(20_000)
    stored = encode_batch("bars.1h", 0, [new_message(data=noise)])
    packed = encode_batch("bars.1h", 0, [new_message(data=COMPRESSIBLE * 20)])
    plain = Batch(messages=[new_message(data=noise)])
    assert stored.header.codec == CODEC_NONE
    assert packed.header.codec == CODEC_LZ4_BLOCK
    assert block_bytes(stored) == len(stored.block)
    assert block_bytes(packed) == len(packed.block) < packed.header.uncompressed_bytes
    assert block_bytes(plain) == 0
