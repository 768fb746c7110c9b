"""The Kafka store's parts without I/O: keys and values of the state, entries as records, and the index."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from tests.integration.store.material import entry, one_of_each, seen

from bellwire.coordinator.log.kafka.entries import Assembly, records_of
from bellwire.coordinator.log.kafka.positions import STRIDE_BYTES, Positions, Written
from bellwire.coordinator.log.kafka.state import (
    STORE,
    Changes,
    State,
    decode_pair,
    encode_key,
    key_of,
)
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import CursorRecord, EntryRecord, TopicRecord
from bellwire.wire.cloud_events import Header
from bellwire.wire.errors import DataCorruptError, SchemaVersionError

LOG_ID = 7


@dataclass
class Read:
    """A record as a consumer gives it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[Header] = field(default_factory=list)


def read_back(*entries: Entry) -> list[Read]:
    """The records of entries, in Kafka's order."""
    records = [record for one in entries for record in records_of(one, LOG_ID)]
    return [Read(at, one.key, one.value, one.headers) for at, one in enumerate(records)]


# ---------------------------------------------------------------- state


def test_a_cursor_is_written_so_that_a_person_can_read_it() -> None:
    changes = Changes()
    State().apply(CursorRecord("risk", 7, 5, ((1, 2, 3, 1),)), changes)
    assert list(changes.encoded()) == [
        (b'["cursor","risk",7]', b'{"next_offset":5,"open_runs":[[1,2,3,1]]}')
    ]


def test_what_was_applied_and_taken_back_is_as_before() -> None:
    state, first = State(), Changes()
    for record in one_of_each():
        state.apply(record, first)
    before = state.snapshot(after_crash=False)
    changes = Changes()
    state.apply(TopicRecord("another", b"", (9,)), changes)
    state.apply(TopicRecord("orders.paper", b"changed", (7,)), changes)
    state.apply(CursorRecord("risk", 7, 9, ()), changes)
    assert state.snapshot(after_crash=False) != before
    state.undo(changes)
    assert state.snapshot(after_crash=False) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [(None, b"{}"), (b"x", b"{}"), (b"{}", b"{}"), (b"[]", b"{}"), (b'["topic","t"]', b"[]")],
)
def test_a_record_of_somebody_else_in_the_state_topic_is_named(
    key: bytes | None, value: bytes | None
) -> None:
    with pytest.raises(DataCorruptError, match="none of ours"):
        decode_pair(key, value)


@pytest.mark.parametrize(
    "value", [{}, {"settings": "", "log_ids": 1}, {"settings": 5, "log_ids": []}, {"settings": "!"}]
)
def test_a_damaged_record_is_named(value: dict[str, object]) -> None:
    with pytest.raises(DataCorruptError, match=r"damaged record, key \('topic', 't'\)"):
        State().load(("topic", "t"), value)


def test_a_state_of_a_later_version_is_refused() -> None:
    with pytest.raises(SchemaVersionError, match="format 2"):
        State().load(STORE, {"format": 2})
    with pytest.raises(SchemaVersionError, match="kind 'quota'"):
        State().load(("quota", "t"), {})


def test_keys_of_different_records_differ() -> None:
    keys = [encode_key(key_of(one)) for one in one_of_each() if not isinstance(one, EntryRecord)]
    assert len(set(keys)) == len(keys)
    assert all(isinstance(json.loads(key), list) for key in keys)


# ---------------------------------------------------------------- entries


def test_entries_come_back_whole() -> None:
    written = [entry(0, principal="spiffe://desk"), entry(3, count=1)]
    assembly = Assembly(LOG_ID)
    found = [one for record in read_back(*written) if (one := assembly.add(record)) is not None]
    assert seen(found) == seen(written)
    assert assembly.foreign == 0


def test_what_another_log_left_in_the_topic_is_passed_over() -> None:
    assembly = Assembly(LOG_ID + 1)
    assert [assembly.add(record) for record in read_back(entry(0))] == [None] * 3
    assert assembly.foreign == 3


def test_what_stands_between_the_messages_of_an_entry_is_passed_over() -> None:
    records = read_back(entry(0))
    assembly = Assembly(LOG_ID)
    foreign = Read(99, None, b"garbage", [("ce_id", b"\xff")])
    found = [assembly.add(one) for one in (records[0], foreign, records[1], foreign, records[2])]
    assert [one is not None for one in found] == [False, False, False, False, True]
    assert assembly.foreign == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda records: records.pop(0), "does not continue"),
        (lambda records: records.pop(1), "does not continue"),
        (lambda records: records[1].headers.remove(("ce_specversion", b"1.0")), "no CloudEvent"),
        (lambda records: records[0].headers.append(("bellwire_offset", b"x")), "invalid literal"),
        (lambda records: records[0].headers.append(("bellwire_batch", b"{")), "Expecting"),
        (lambda records: records[0].headers.append(("bellwire_batch", b"{}")), "message_count"),
    ],
)
def test_damage_is_told_with_its_place(spoil: object, words: str) -> None:
    records = read_back(entry(0))
    spoil(records)  # type: ignore[operator]
    with pytest.raises(DataCorruptError, match=rf"Kafka offset \d is damaged: .*{words}"):
        list(map(Assembly(LOG_ID).add, records))


# ---------------------------------------------------------------- positions


def test_places_are_kept_a_stride_apart_and_at_every_jump() -> None:
    log = Positions("t", 0)
    size = STRIDE_BYTES // 2
    written = [Written(at * 10, at * 10 + 10, size, at * 11) for at in range(5)]
    assert [one.base_offset for one in log.places(written)] == [0, 20, 40]
    log.extend(written[:3])
    jump = Written(90, 95, 1, 500)
    assert [one.base_offset for one in log.places([jump])] == [90]
    log.extend([jump])
    assert log.end == 95
    found = [log.at_or_before(offset) for offset in (0, 19, 20, 89, 90, 1_000)]
    assert found == [0, 0, 22, 22, 500, 500]


def test_what_was_evicted_needs_no_place() -> None:
    log = Positions("t", 0)
    assert (log.at_or_before(0), log.first) == (None, None)
    log.extend([Written(at * 10, at * 10 + 10, STRIDE_BYTES, at * 11) for at in range(5)])
    assert log.forget_below(25) == [0, 10]
    assert log.first == 22
    assert log.forget_below(25) == []
