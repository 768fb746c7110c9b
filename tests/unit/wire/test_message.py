"""bellwire.wire.message: UUIDv7 ids that only grow, and messages with nothing set that was not given."""

from __future__ import annotations

import uuid

from bellwire.wire.message import MessageIds, new_message, uuid7

MILLI = 1_000_000
NOW_NS = 1_700_000_000_123 * MILLI


class Clock:
    """A clock that shows what it is told."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def ids_at(clock: Clock) -> MessageIds:
    return MessageIds(clock, lambda count: bytes(range(count)))


def millis_of(text: str) -> int:
    return uuid.UUID(text).int >> 80


def test_an_id_is_a_uuid_of_version_7_and_the_rfc_variant():
    parsed = uuid.UUID(uuid7())
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert str(parsed) == str(parsed).lower()
    assert len(str(parsed)) == 36


def test_the_first_48_bits_are_the_milliseconds_of_the_clock():
    assert millis_of(ids_at(Clock(NOW_NS)).next()) == NOW_NS // MILLI


def test_ids_of_one_millisecond_count_up():
    ids = ids_at(Clock(NOW_NS))
    texts = [ids.next() for _ in range(4096)]
    assert texts == sorted(set(texts))
    assert {millis_of(text) for text in texts} == {NOW_NS // MILLI}


def test_the_4097th_id_of_a_millisecond_borrows_from_the_next_one():
    ids = ids_at(Clock(NOW_NS))
    texts = [ids.next() for _ in range(4097)]
    assert millis_of(texts[-1]) == NOW_NS // MILLI + 1
    assert texts[-1] > texts[-2]


def test_ids_go_on_growing_when_the_clock_jumps_back():
    clock = Clock(NOW_NS)
    ids = ids_at(clock)
    before = ids.next()
    clock.now_ns -= 3_600 * 1_000 * MILLI
    after = [ids.next() for _ in range(5000)]
    assert [before, *after] == sorted({before, *after})


def test_ids_take_the_clock_up_again_when_it_has_caught_up():
    clock = Clock(NOW_NS)
    ids = ids_at(clock)
    ids.next()
    clock.now_ns = NOW_NS + 5 * MILLI
    assert millis_of(ids.next()) == NOW_NS // MILLI + 5


def test_two_generators_differ_in_their_random_bits():
    clock = Clock(NOW_NS)
    assert MessageIds(clock).next() != MessageIds(clock).next()


def test_a_message_carries_what_was_given():
    message = new_message(
        data=b"d",
        type="t",
        subject="EURUSD",
        key="EURUSD",
        source="agents/feed-0",
        time_unix_nano=5,
        expire_time_unix_nano=9,
        correlation_id="c",
        causation_id="a",
        traceparent="00-x",
        tracestate="s=1",
        attributes={"k": "v"},
    )
    fields = {field.name: value for field, value in message.ListFields()}
    assert uuid.UUID(fields.pop("id")).version == 7
    assert dict(fields.pop("attributes")) == {"k": "v"}
    assert fields == {
        "data": b"d", "type": "t", "subject": "EURUSD", "key": "EURUSD",
        "source": "agents/feed-0", "time_unix_nano": 5, "expire_time_unix_nano": 9,
        "correlation_id": "c", "causation_id": "a", "traceparent": "00-x", "tracestate": "s=1",
    }  # fmt: skip


def test_a_bare_message_has_an_id_a_time_and_its_data_only():
    names = {field.name for field, _ in new_message(data=b"d").ListFields()}
    assert names == {"id", "time_unix_nano", "data"}


def test_an_event_time_of_zero_is_kept():
    assert new_message(data=b"", time_unix_nano=0).time_unix_nano == 0
