"""bellwire.coordinator.core.delivery: the publisher's bytes where they serve, a new block where not."""

from __future__ import annotations

import random

import pytest
from tests.unit.coordinator.core.stage import Stage

from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, CODEC_UNSPECIFIED
from bellwire.coordinator.core.delivery import accepted_codecs, encode_delivery
from bellwire.coordinator.core.flight import Handout
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import UnknownCodecError

COMPRESSIBLE = b"bid 1.0843 ask 1.0844 " * 100
NOISE = random.Random(7).randbytes(2_000)
BOTH = frozenset({CODEC_NONE, CODEC_LZ4_BLOCK})


def handout_of(count: int, data: bytes = COMPRESSIBLE, messages_max: int = 1_000) -> Handout:
    stage = Stage()
    stage.publish(count, data=data)
    handout = stage.take(stage.join(stage.subscribe()), messages_max)
    assert handout is not None
    return handout


def test_a_whole_block_in_an_accepted_codec_goes_out_untouched():
    handout = handout_of(3)
    assert encode_delivery(handout, BOTH).batch == handout.entry.batch


def test_without_codecs_messages_are_plain_and_the_header_counts_them():
    handout = handout_of(3)
    batch = encode_delivery(handout, frozenset()).batch
    assert not batch.block
    assert list(batch.messages) == list(handout.entry.messages())
    assert (batch.header.message_count, batch.header.codec) == (3, CODEC_UNSPECIFIED)
    assert list(open_batch(batch)) == list(batch.messages)


def test_a_part_of_a_block_is_encoded_again_and_opens_to_that_part():
    handout = handout_of(5, messages_max=2)
    delivery = encode_delivery(handout, BOTH)
    assert list(open_batch(delivery.batch)) == list(handout.entry.messages())[:2]
    assert (delivery.first_offset, delivery.first_delivery_tag) == (0, 1)
    assert delivery.batch.header.codec == CODEC_LZ4_BLOCK


def test_who_opens_no_lz4_gets_the_block_uncompressed():
    batch = encode_delivery(handout_of(3), frozenset({CODEC_NONE})).batch
    assert batch.header.codec == CODEC_NONE
    assert len(open_batch(batch)) == 3


@pytest.mark.parametrize("data", [b"x", COMPRESSIBLE, NOISE], ids=["tiny", "compressible", "noise"])
def test_who_opens_only_lz4_never_gets_an_identity_block(data):
    batch = encode_delivery(handout_of(2, data), frozenset({CODEC_LZ4_BLOCK})).batch
    assert batch.header.codec != CODEC_NONE
    assert [message.data for message in open_batch(batch)] == [data, data]


def test_a_delivery_tells_attempt_drops_and_admission_time():
    handout = handout_of(1)
    delivery = encode_delivery(handout, BOTH)
    assert (delivery.attempt, delivery.dropped_messages, delivery.replayed) == (0, 0, False)
    assert delivery.admitted_time_unix_nano == handout.entry.admitted_ns


def test_codecs_are_a_set_and_unspecified_asks_for_plain():
    assert accepted_codecs([]) == frozenset()
    assert accepted_codecs([CODEC_UNSPECIFIED]) == frozenset()
    assert accepted_codecs([CODEC_LZ4_BLOCK, CODEC_NONE, CODEC_NONE]) == BOTH


@pytest.mark.parametrize("codec", [3, 99, -1])
def test_an_unknown_codec_is_refused_by_number(codec):
    with pytest.raises(UnknownCodecError, match=f"accepted codec {codec} is not known"):
        accepted_codecs([CODEC_NONE, codec])
