"""A batch is admitted exactly when each of its messages would be, alone, however strangely it is encoded.

Batches are verified field by field, few messages one by one: neither way may let anything through that the other
refuses.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.coordinator.core.stage import Stage

from bellwire.bus.v1.message_pb2 import CODEC_NONE, Batch, BatchHeader, Message
from bellwire.coordinator.core.admission import TOGETHER_FROM_MESSAGES, admit_batch
from bellwire.wire.batch import BatchLimits, encode_batch
from bellwire.wire.errors import BatchCountError, BellwireError
from bellwire.wire.message import new_message, uuid7

LIMITS = BatchLimits(message_bytes_max=2_000)
ONE, FOUR = Stage(partitions=1).topic, Stage(partitions=4).topic
SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NUMBERS = {field.name: field.number for field in Message.DESCRIPTOR.fields}
LENGTHS = st.sampled_from([0, 1, 60, 64, 65, 85, 86, 127, 128, 255, 256, 257, 512, 513, 2_100])
CHARACTERS = st.sampled_from(["x", "€", "\U0001f4b6"])


def varint(number: int) -> bytes:
    return (
        number.to_bytes(1, "little")
        if number < 128
        else bytes([number & 127 | 128]) + varint(number >> 7)
    )


def tagged(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(name: str) -> st.SearchStrategy[bytes]:
    long = st.tuples(CHARACTERS, LENGTHS).map(lambda each: each[0] * each[1])
    return (long | st.sampled_from(["a", "b", "agents/rules-0", SAMPLED, SAMPLED[:-1] + "0"])).map(
        lambda value: tagged(NUMBERS[name], value.encode())
    )


IDS = st.sampled_from([uuid7(), uuid7(), uuid7(), "", "m-1", "x" * 256, "x" * 257]).map(
    lambda value: tagged(1, value.encode())
)
TEXTS = (
    "source",
    "type",
    "subject",
    "key",
    "correlation_id",
    "causation_id",
    "traceparent",
    "tracestate",
    "schema",
)
FIELDS = st.one_of(
    IDS,
    *map(text, TEXTS),
    LENGTHS.map(lambda size: tagged(NUMBERS["data"], bytes(size))),
    st.binary(max_size=4).map(lambda noise: tagged(NUMBERS["attributes"], noise)),
    st.integers(0, 70).map(
        lambda count: Message(attributes={f"{n}": "" for n in range(count)}).SerializeToString()
    ),
    st.binary(max_size=300).map(lambda noise: tagged(99, noise)),
    st.just(varint(NUMBERS["time_unix_nano"] << 3 | 1) + bytes(8)),
    st.binary(max_size=9).map(lambda noise: tagged(NUMBERS["time_unix_nano"], noise)),
    st.just(tagged(NUMBERS["subject"], b"\xff")),
    st.just(b"\x08\x01"),
)
# Most messages are ordinary, or hardly a batch would be admitted.
ROWS = st.one_of(
    st.just(new_message(data=b"x" * 60, source="agents/rules-0", key="a").SerializeToString()),
    st.builds(new_message, data=st.binary(max_size=400), key=st.sampled_from(["", "a", "b"])).map(
        Message.SerializeToString
    ),
    st.tuples(st.just(tagged(1, uuid7().encode())), FIELDS).map(b"".join),
    st.lists(FIELDS, max_size=4).map(b"".join),
)
ORDINARY = new_message(data=b"x").SerializeToString()


def outcome(rows: list[bytes], topic: Any, principal: str, **header: int) -> Any:
    block = b"".join(tagged(1, row) for row in rows)
    fields: dict[str, Any] = {
        "message_count": len(rows),
        "uncompressed_bytes": len(block),
        "crc32": crc32(block),
        **header,
    }
    batch = Batch(header=BatchHeader(topic=topic.name, codec=CODEC_NONE, **fields), block=block)
    try:
        return admit_batch(batch, topic, LIMITS, principal)
    except BellwireError as error:
        return type(error)


def id_field(value: str = "") -> bytes:
    return tagged(1, (value or uuid7()).encode())


EMPTY_ID = tagged(1, b"")
STRANGE = {
    "nothing": [b""],
    "an id that is taken back": [id_field() + EMPTY_ID],
    "two ids for two messages": [b"", id_field() * 2],
    "two ids for two messages, and one empty": [EMPTY_ID, id_field() * 2],
    "no id in first order": [tagged(2, b"s"), id_field() * 2],
    "no id in last order": [tagged(14, b"d"), id_field() * 2],
    "a short id": [id_field("m-1")],
    "an id of another length": [id_field("x" * 37)],
    "an endless id": [id_field("x" * 257)],
    "a long text of few characters": [id_field() + tagged(2, ("€" * 86).encode())],
    "a text of 64 wide characters": [id_field() + tagged(2, ("\U0001f4b6" * 64).encode())],
    "a text of 65 wide characters": [id_field() + tagged(2, ("\U0001f4b6" * 65).encode())],
    "a long text that is taken back": [id_field() + tagged(2, b"x" * 257) + tagged(2, b"x")],
    "long tracestate": [id_field() + tagged(11, b"x" * 513)],
    "a payload above the limit": [id_field() + tagged(14, bytes(2_000))],
    "a payload above the limit that is taken back": [
        id_field() + tagged(14, bytes(2_000)) + tagged(14, b"")
    ],
    "too many attributes": [
        id_field() + Message(attributes={f"{n}": "" for n in range(65)}).SerializeToString()
    ],
    "attributes that grow": [id_field() + tagged(13, b"") * 500],
    "an attribute that is no text": [id_field() + tagged(13, tagged(1, b"\xff"))],
    "a text that is no text": [id_field() + tagged(4, b"\xff")],
    "a packed time": [id_field() + tagged(6, bytes(16))],
    "a packed time cut off": [id_field() + tagged(6, bytes(15))],
    "a field nobody knows": [id_field() + tagged(99, bytes(1_000))],
    "a key of another partition": [id_field() + tagged(5, b"e")],
    "a key of another partition that is taken back": [
        id_field() + tagged(5, b"e") + tagged(5, b"")
    ],
    "another source": [id_field() + tagged(2, b"mallory")],
    "another source that is taken back": [id_field() + tagged(2, b"mallory") + tagged(2, b"")],
    "a sampled context": [id_field() + tagged(10, SAMPLED.encode())],
    "a sampled context that is taken back": [
        id_field() + tagged(10, SAMPLED.encode()) + tagged(10, b"x")
    ],
}


def check_among_others(rows: list[bytes], topic: Any, principal: str) -> None:
    others = [ORDINARY] * (TOGETHER_FROM_MESSAGES // 2)
    together = outcome(others + rows + others, topic, principal)
    alone = [outcome([row], topic, principal) for row in rows]
    refusals = [each for each in alone if not isinstance(each, list)]
    if refusals:
        assert together in refusals
        return
    sampled = [text for each in alone for text in each]
    if any(row.count(tagged(10, SAMPLED.encode())) for row in rows):
        assert set(sampled) <= set(
            together
        )  # What a message takes back may be traced all the same.
    else:
        assert together == sampled


@pytest.mark.parametrize("principal", ["", "agents/rules-0"], ids=["anybody", "known"])
@pytest.mark.parametrize("topic", [ONE, FOUR], ids=["one partition", "four"])
@pytest.mark.parametrize("rows", STRANGE.values(), ids=STRANGE)
def test_a_strange_message_among_others_is_taken_as_it_is_alone(rows, topic, principal):
    check_among_others(rows, topic, principal)


@given(
    st.lists(ROWS, min_size=1, max_size=6),
    st.sampled_from([ONE, FOUR]),
    st.sampled_from(["", "agents/rules-0"]),
)
def test_a_batch_is_admitted_exactly_when_each_of_its_messages_is(rows, topic, principal):
    check_among_others(rows, topic, principal)


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_header_that_lies_about_expiry_is_refused_whatever_the_messages_say(least, most):
    given = [new_message(data=b"", expire_time_unix_nano=expiry) for expiry in range(40, 60)]
    rows = [message.SerializeToString() for message in given]
    header = {"min_expire_time_unix_nano": least, "max_expire_time_unix_nano": most}
    honest = (least, most) in ((0, 0), (40, 59))
    assert isinstance(outcome(rows, ONE, "", **header), list) == honest


@given(st.lists(ROWS, min_size=16, max_size=18), st.sampled_from([-1, 1]))
def test_a_count_that_is_not_that_of_the_block_is_refused(rows, lie):
    assert not isinstance(outcome(rows, ONE, "", message_count=len(rows) + lie), list)


def test_a_second_id_does_not_make_up_for_a_message_that_is_missing():
    rows = [*[ORDINARY] * TOGETHER_FROM_MESSAGES, id_field() * 2]
    assert outcome(rows, ONE, "", message_count=len(rows) + 1) is BatchCountError


@pytest.mark.parametrize("size", [100, 400], ids=["short", "long"])
@pytest.mark.parametrize(
    ("field", "bytes_max"),
    [*((name, 256) for name in TEXTS if name != "tracestate"), ("tracestate", 512)],
)
def test_in_a_batch_as_well_each_text_is_bounded_to_the_byte(size, field, bytes_max):
    def admit(length: int) -> None:
        bad = new_message(data=b"")
        setattr(bad, field, "x" * length)
        others = [new_message(data=bytes(size)) for _ in range(20)]
        admit_batch(encode_batch(ONE.name, 0, [*others, bad]), ONE, LIMITS, "")

    admit(bytes_max)
    with pytest.raises(BellwireError) as caught:
        admit(bytes_max + 1)
    assert caught.value.metadata["message_index"] == "20"
    assert caught.value.metadata["field"] == field
