"""A run of payloads is, on the wire and in the hand, what single messages would have been."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message, MessageBlock
from bellwire.wire.batch import encode_batch, open_batch
from bellwire.wire.payload_run import PayloadRun, PayloadRuns

TEXT = st.text(max_size=20)
ENVELOPES = st.builds(
    Message,
    source=TEXT,
    type=TEXT,
    key=TEXT,
    subject=TEXT,
    time_unix_nano=st.integers(1, 2**64 - 1),
    expire_time_unix_nano=st.integers(0, 2**64 - 1),
    traceparent=TEXT,
    attributes=st.dictionaries(TEXT, TEXT, max_size=3),
)
LENGTHS = st.sampled_from([0, 1, 88, 89, 127, 128, 129, 16_300, 16_384])  # Around varint borders.
PAYLOADS = st.lists(st.binary(max_size=300) | LENGTHS.map(bytes), min_size=1, max_size=20)


@given(PAYLOADS, ENVELOPES)
def test_its_block_holds_exactly_its_messages(payloads: list[bytes], envelope: Message):
    run = PayloadRun(payloads, envelope)
    messages = list(run)
    assert list(MessageBlock.FromString(run.block()).messages) == messages
    assert [message.data for message in messages] == payloads
    ids = [message.id for message in messages]
    assert ids == sorted(set(ids))
    for message in messages:
        message.ClearField("id")
        message.ClearField("data")
        assert message == envelope


@given(PAYLOADS, ENVELOPES)
def test_its_batch_is_the_batch_of_its_messages(payloads: list[bytes], envelope: Message):
    run = PayloadRun(payloads, envelope)
    batch, plain = encode_batch("t", 1, run), encode_batch("t", 1, list(run))
    assert list(open_batch(batch)) == list(open_batch(plain))
    for header in (batch.header, plain.header):  # Maps and fields may be written in another order.
        header.ClearField("crc32")
    assert batch.header == plain.header


@given(PAYLOADS, ENVELOPES, st.integers(0, 20), st.integers(0, 20))
def test_a_part_of_it_keeps_its_ids(
    payloads: list[bytes], envelope: Message, first: int, last: int
):
    run = PayloadRun(payloads, envelope)
    assert list(run[first:last]) == list(run)[first:last]


@given(st.lists(st.tuples(PAYLOADS, ENVELOPES), min_size=1, max_size=4))
def test_the_batch_of_several_runs_is_the_batch_of_all_their_messages(given_runs):
    runs = PayloadRuns([PayloadRun(payloads, envelope) for payloads, envelope in given_runs])
    messages = [message for run in runs.runs for message in run]
    assert (len(runs), list(runs), runs[1:], runs[-1]) == (
        len(messages),
        messages,
        messages[1:],
        messages[-1],
    )
    batch, plain = encode_batch("t", 1, runs), encode_batch("t", 1, messages)
    assert list(open_batch(batch)) == messages
    for header in (batch.header, plain.header):
        header.ClearField("crc32")
        header.ClearField("uncompressed_bytes")
        header.ClearField("codec")
    assert batch.header == plain.header
