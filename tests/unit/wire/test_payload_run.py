"""bellwire.wire.payload_run: payloads that share an envelope, and their encoding."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message, MessageBlock
from bellwire.wire.batch import encode_batch, open_batch
from bellwire.wire.message import message_ids
from bellwire.wire.payload_run import PayloadRun, block_of_one

ENVELOPE = Message(type="t.Bar", key="EURUSD", source="agents/feed-0", time_unix_nano=7)
envelopes = st.builds(
    Message,
    source=st.text(max_size=200),
    type=st.text(max_size=20),
    key=st.text(max_size=20),
    time_unix_nano=st.integers(1, (1 << 64) - 1),
    expire_time_unix_nano=st.integers(0, (1 << 64) - 1),
    traceparent=st.text(max_size=55),
    attributes=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
payload_lists = st.lists(st.binary(max_size=300), min_size=1, max_size=40)


@given(payload_lists, envelopes)
def test_the_block_is_what_protobuf_itself_would_read_back(payloads, envelope):
    run = PayloadRun(payloads, envelope)

    messages = MessageBlock.FromString(run.block()).messages

    assert list(messages) == list(run)
    assert [message.data for message in messages] == payloads


@given(st.binary(max_size=20_000), envelopes)
def test_the_block_of_one_message_is_what_protobuf_itself_would_read_back(payload, envelope):
    message = Message()
    message.CopyFrom(envelope)
    message.data = payload

    assert list(MessageBlock.FromString(block_of_one(message.SerializeToString())).messages) == [
        message
    ]


@given(payload_lists)
def test_a_batch_of_a_run_equals_the_batch_of_its_messages(payloads):
    run = PayloadRun(payloads, ENVELOPE)

    batch = encode_batch("bars.1h", 3, run)
    twin = encode_batch("bars.1h", 3, list(run))

    assert list(open_batch(batch)) == list(open_batch(twin))
    for field in ("message_count", "first_time_unix_nano", "last_time_unix_nano"):
        assert getattr(batch.header, field) == getattr(twin.header, field)


def test_expiry_of_the_envelope_reaches_the_batch_header():
    envelope = Message(time_unix_nano=7, expire_time_unix_nano=9)

    header = encode_batch("t", 0, PayloadRun([b"a", b"b"], envelope)).header

    assert (header.min_expire_time_unix_nano, header.max_expire_time_unix_nano) == (9, 9)


def test_slices_keep_their_ids_so_that_a_retry_sends_the_same_messages():
    run = PayloadRun([b"a", b"b", b"c", b"d"], ENVELOPE)

    assert list(run[1:3]) == list(run)[1:3]
    assert run[1:3].payload_bytes == 2


def test_a_run_without_a_time_is_of_now():
    before = time.time_ns()

    run = PayloadRun([b"a"], Message())

    assert before <= run[0].time_unix_nano <= time.time_ns()


@given(st.lists(st.integers(0, 9_000), max_size=5))
def test_ids_made_at_once_are_distinct_and_increasing(counts):
    ids = [one for count in counts for one in message_ids(time.time_ns(), count)]

    assert len(ids) == sum(counts)
    assert ids == sorted(set(ids))
