"""What every store must do; runs on all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.integration.store.conftest import Shelf
from tests.integration.store.material import (
    TOPIC,
    WIDE,
    bases,
    entries,
    entry,
    letter,
    one_of_each,
    seen,
    segment_of,
    whole_log,
)

from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLettersRemovedRecord,
    EvictedRecord,
    ProducerRecord,
    Record,
    ResultRecord,
    ResultsExpiredRecord,
    SegmentRecord,
    Snapshot,
    SubscriptionDeletedRecord,
    SubscriptionRecord,
    TopicDeletedRecord,
    TopicRecord,
)
from bellwire.coordinator.log.store import DeadLetterQuery


def everything(found: Snapshot) -> set[object]:
    """The records of a snapshot."""
    return {
        *found.topics,
        *found.segments,
        *found.producers,
        *found.producer_names,
        *found.subscriptions,
        *found.cursors,
        *found.results,
    }


def test_a_new_store_is_empty(shelf: Shelf) -> None:
    assert everything(shelf.opened) == set()
    assert (shelf.opened.dead_letters, shelf.opened.last_dead_letter_id) == ({}, 0)
    assert (shelf.opened.incarnation, shelf.opened.after_crash) == (1, False)
    assert shelf.store.read(7, 0, WIDE) == []
    assert shelf.store.find_time(7, 0, 0, 5) == 0
    assert shelf.store.dead_letters(DeadLetterQuery(TOPIC)) == []
    assert shelf.store.count_dead_letters(DeadLetterQuery(TOPIC)) == (0, 0)


def test_every_kind_of_record_comes_back_as_it_was_written(shelf: Shelf) -> None:
    records = one_of_each()
    shelf.store.write(records)
    found = shelf.reopen()
    kept = [record for record in records if type(record).__name__ not in _READ_WHEN_NEEDED]
    assert everything(found) == set(kept)
    assert found.dead_letters == {TOPIC: 1}
    assert found.last_dead_letter_id == 4
    assert shelf.store.dead_letters(DeadLetterQuery(TOPIC)) == [letter(4)]
    assert whole_log(shelf.store, 7) == seen(one.entry for one in records[1:3])  # type: ignore[union-attr]


_READ_WHEN_NEEDED = ("EntryRecord", "DeadLetterRecord")


def test_writing_the_same_records_twice_does_no_harm(shelf: Shelf) -> None:
    records = one_of_each()
    shelf.store.write(records)
    once = everything(shelf.reopen())
    shelf.store.write(records)
    shelf.store.write([*records, *records])
    found = shelf.reopen()
    assert everything(found) == once
    assert found.dead_letters == {TOPIC: 1}


def test_the_latest_value_of_each_key_wins(shelf: Shelf) -> None:
    old: list[Record] = [
        TopicRecord("t", b"old", (1,)),
        SegmentRecord(1, 0, 5, 1, 10, 3, 3),
        ProducerRecord(1, 9, 1, 5, ((0, 5, 0),)),
        SubscriptionRecord("s", ("t",), 1, 1, 5),
        CursorRecord("s", 1, 3, ((0, 1, 2, 1),)),
        ResultRecord("p", "r", b"d", b"old", 9),
    ]
    new: list[Record] = [
        TopicRecord("t", b"new", (1, 2)),
        SegmentRecord(1, 0, 8, 2, 20, 4, 4),
        ProducerRecord(1, 9, 2, 8, ((5, 3, 5),)),
        SubscriptionRecord("s", ("t", "u"), 2, 2, 6),
        CursorRecord("s", 1, 8, ()),
        ResultRecord("p", "r", b"d", b"new", 10),
    ]
    shelf.store.write(old)
    shelf.store.write(new)
    assert everything(shelf.reopen()) == set(new)
    shelf.store.write([*new, *old])  # Within one transaction the order counts too.
    assert everything(shelf.reopen()) == set(old)


def test_segments_come_back_in_the_order_of_their_logs_and_offsets(shelf: Shelf) -> None:
    keys = [(9, 0), (2, 300), (2, 20), (10, 5), (2, 0)]
    shelf.store.write([SegmentRecord(log, base, base + 1, 1, 1, 1, 1) for log, base in keys])
    found = shelf.reopen().segments
    assert [(one.log_id, one.base_offset) for one in found] == sorted(keys)


# ---------------------------------------------------------------- entries


def test_an_offset_inside_an_entry_reads_it_and_what_follows(shelf: Shelf) -> None:
    shelf.store.write(entries(7, 3, 1, 4))
    shelf.store.write(entries(6, 9))
    found = [bases(shelf.store, 7, offset) for offset in range(9)]
    assert found == [[0, 3, 4]] * 3 + [[3, 4]] + [[4]] * 4 + [[]]
    assert bases(shelf.store, 7, 10**12) == []
    assert bases(shelf.store, 8, 0) == []


def test_a_read_returns_what_fits_and_at_least_one(shelf: Shelf) -> None:
    appended = entries(7, 1, 1, 1, 1, base=1)
    shelf.store.write(appended)
    size = appended[0].entry.stored_bytes
    assert all(one.entry.stored_bytes == size for one in appended)
    found = [bases(shelf.store, 7, 1, bytes_max) for bytes_max in (0, size, 2 * size, 4 * size - 1)]
    assert found == [[1], [1], [1, 2], [1, 2, 3]]


def test_an_entry_keeps_its_bytes_its_principal_and_its_time_of_admission(shelf: Shelf) -> None:
    large = entries(7, 200, size=1_000)
    large[0].entry.principal = "spiffe://desk/αβ"
    shelf.store.write(large)
    shelf.reopen()
    assert whole_log(shelf.store, 7) == seen([large[0].entry])


def test_a_read_never_crosses_a_gap(shelf: Shelf) -> None:
    shelf.store.write([*entries(7, 2, 2), *entries(7, 2, base=9)])
    assert bases(shelf.store, 7, 0) == [0, 2]
    assert bases(shelf.store, 7, 5) == []
    assert bases(shelf.store, 7, 9) == [9]


def test_a_time_beyond_what_a_disk_can_say_is_kept_in_the_batch(shelf: Shelf) -> None:
    latest = entry(0, 1, time_ns=2**64 - 1)
    record = replace(entries(7, 1)[0], entry=latest)
    shelf.store.write([record, segment_of([record])])
    shelf.reopen()
    assert whole_log(shelf.store, 7) == seen([latest])
    assert shelf.store.find_time(7, 0, 1, 2**63 - 1) == 0


def test_a_time_finds_the_first_entry_that_reaches_it(shelf: Shelf) -> None:
    shelf.store.write(entries(7, 3, 1, 4, 2))  # Last times 2, 3, 7, 9.
    found = [shelf.store.find_time(7, 0, 10, time) for time in range(12)]
    assert found == [0, 0, 0, 3, 4, 4, 4, 4, 8, 8, 10, 10]


def test_a_time_is_looked_for_between_two_offsets_only(shelf: Shelf) -> None:
    shelf.store.write(entries(7, *[1] * 100))
    assert shelf.store.find_time(7, 20, 50, 5) == 20
    assert shelf.store.find_time(7, 20, 50, 33) == 33
    assert shelf.store.find_time(7, 20, 50, 70) == 50
    assert shelf.store.find_time(7, 20, 20, 5) == 20


# ---------------------------------------------------------------- eviction and deletion


def test_what_is_evicted_is_gone_at_once_and_for_good(shelf: Shelf) -> None:
    first, second = entries(7, *[2] * 100), entries(7, *[2] * 100, base=200)
    shelf.store.write([*first, segment_of(first), *second, segment_of(second)])
    shelf.store.write([EvictedRecord(7, 200)])
    for _ in range(2):
        assert [bases(shelf.store, 7, offset, 0) for offset in (0, 150, 199)] == [[], [], []]
        assert bases(shelf.store, 7, 200, 0) == [200]
        assert shelf.store.find_time(7, 0, 400, 0) == 200
        assert shelf.reopen().segments == [segment_of(second)]


def test_an_entry_that_reaches_beyond_the_low_offset_stays(shelf: Shelf) -> None:
    shelf.store.write([*entries(7, 4, 4), EvictedRecord(7, 6)])
    assert bases(shelf.store, 7, 3) == []
    assert bases(shelf.store, 7, 4) == [4]


def test_an_older_eviction_brings_nothing_back(shelf: Shelf) -> None:
    shelf.store.write(entries(7, *[1] * 300))
    shelf.store.write([EvictedRecord(7, 250)])
    shelf.store.write([EvictedRecord(7, 10)])
    assert bases(shelf.store, 7, 249) == []
    assert bases(shelf.store, 7, 250, 0) == [250]


def test_entries_can_be_added_while_evicted_ones_are_still_being_removed(shelf: Shelf) -> None:
    shelf.store.write(entries(7, *[1] * 500))
    shelf.store.write([EvictedRecord(7, 500)])
    shelf.store.write(entries(7, 1, 1, base=500))
    assert bases(shelf.store, 7, 499) == []
    for _ in range(10):
        shelf.store.write([])
    assert bases(shelf.store, 7, 500) == [500, 501]


def test_a_deleted_topic_takes_everything_but_its_dead_letters(shelf: Shelf) -> None:
    kept: list[Record] = [TopicRecord("kept", b"", (9,)), CursorRecord("risk", 9, 0, ())]
    shelf.store.write([*one_of_each(), *kept, *entries(9, 1)])
    shelf.store.write([TopicDeletedRecord(TOPIC, (7, 8, 2**63 - 1))])
    for _ in range(2):
        found = shelf.reopen()
        assert found.topics == [kept[0]]
        assert found.cursors == [kept[1]]
        assert (list(found.segments), list(found.producers)) == ([], [])
        assert len(found.subscriptions) == len(found.producer_names) == len(found.results) == 1
        assert found.dead_letters == {TOPIC: 1}
        assert [bases(shelf.store, log, 0) for log in (7, 8, 9)] == [[], [], [0]]


def test_a_deleted_subscription_takes_its_cursors(shelf: Shelf) -> None:
    other: list[Record] = [
        SubscriptionRecord("audit", (">",), 1, 1, 5),
        CursorRecord("audit", 7, 1, ()),
    ]
    shelf.store.write([*one_of_each(), *other, SubscriptionDeletedRecord("risk")])
    found = shelf.reopen()
    assert [*found.subscriptions, *found.cursors] == other


def test_the_order_within_a_transaction_decides(shelf: Shelf) -> None:
    topic, again = TopicRecord("t", b"1", (1,)), TopicRecord("t", b"2", (2,))
    shelf.store.write([topic, *entries(1, 3), TopicDeletedRecord("t", (1,)), again, *entries(2, 3)])
    assert shelf.reopen().topics == [again]
    assert [bases(shelf.store, log, 0) for log in (1, 2)] == [[], [0]]
    shelf.store.write([again, TopicDeletedRecord("t", (2,))])
    assert shelf.reopen().topics == []


# ---------------------------------------------------------------- dead letters


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"after_id": 2}, [3, 4, 5]),
        ({"up_to_id": 2}, [1, 2]),
        ({"subscription": "audit"}, [2, 4]),
        ({"reason_contains": "no price"}, [3]),
        ({"reason_contains": "NO PRICE"}, []),
        ({"reason_contains": "%"}, [5]),
        ({"key": "GBPUSD"}, [4]),
        ({"key": "gbpusd"}, []),
        ({"ids": (5, 1, 77)}, [1, 5]),
        ({"before_time_ns": 3_000_000_000}, [1, 2]),
        ({"subscription": "audit", "key": "GBPUSD", "after_id": 1, "ids": (4, 5)}, [4]),
        ({"subscription": "audit", "key": "XAUUSD"}, []),
    ],
)
def test_dead_letters_are_found_and_counted_by_each_condition(
    shelf: Shelf, conditions: dict[str, object], expected: list[int]
) -> None:
    shelf.store.write(
        [
            letter(1),
            letter(2, subscription="audit"),
            letter(3, reason="no price at all", cause=2),
            letter(4, subscription="audit", key="GBPUSD"),
            letter(5, reason="100 %"),
            letter(6, topic="another"),
        ]
    )
    query = DeadLetterQuery(TOPIC, **conditions)  # type: ignore[arg-type]
    assert [one.id for one in shelf.store.dead_letters(query)] == expected
    assert shelf.store.count_dead_letters(query) == (len(expected), max(expected, default=0))
    page = shelf.store.dead_letters(replace(query, limit=1))
    assert [one.id for one in page] == expected[:1]
    assert shelf.store.count_dead_letters(replace(query, limit=1))[0] == len(expected)


def test_removed_dead_letters_are_gone_and_their_ids_are_not_forgotten(shelf: Shelf) -> None:
    shelf.store.write([letter(one) for one in range(1, 6)])
    shelf.store.write([DeadLettersRemovedRecord((1, 5, 99))])
    found = shelf.reopen()
    assert (found.dead_letters, found.last_dead_letter_id) == ({TOPIC: 3}, 5)
    shelf.store.write([DeadLettersRemovedRecord((2, 3, 4))])
    found = shelf.reopen()
    assert (found.dead_letters, found.last_dead_letter_id) == ({}, 5)


# ---------------------------------------------------------------- results


def test_results_that_expire_at_or_before_a_time_are_gone(shelf: Shelf) -> None:
    results = [ResultRecord("p", f"r{at}", bytes(32), b"", at) for at in (1, 5, 6, 2**63 - 1)]
    shelf.store.write([*results, ResultsExpiredRecord(5)])
    assert {one.request_id for one in shelf.reopen().results} == {"r6", f"r{2**63 - 1}"}


def test_results_of_two_scopes_with_one_request_id_are_two(shelf: Shelf) -> None:
    results = [ResultRecord(scope, "r", bytes(32), scope.encode(), 9) for scope in ("p", "q")]
    shelf.store.write(results)
    assert set(shelf.reopen().results) == set(results)
