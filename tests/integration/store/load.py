"""A load on a SQLite store: numbered groups, each of which says what the store must then hold.

Run as a program it writes until it is killed and prints the number of each group once it is committed:
`python -m tests.integration.store.load FOLDER FIRST_GROUP [option=value …]`.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

from tests.integration.store.material import entry, letter

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    CursorRecord,
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
    ProducerRecord,
    Record,
    SegmentRecord,
    Snapshot,
    SubscriptionRecord,
    TopicRecord,
)
from bellwire.coordinator.log.sqlite import SqliteStore

LOGS: Final = (11, 22, 33)
MESSAGES: Final = 4  # In each entry.
SEGMENT_GROUPS: Final = 16
KEPT_SEGMENTS: Final = 4
PRODUCER: Final = "feed"


def first_records() -> list[Record]:
    """What is there before the first group."""
    return [TopicRecord("load", b"", LOGS), SubscriptionRecord("risk", ("load",), 1, 1, 10)]


def group(number: int, size: int = 60) -> list[Record]:
    """The records of one group: an entry in every log, and everything that moves with it."""
    records: list[Record] = [ProducerNameRecord(PRODUCER, 1, number)]
    base, end = number * MESSAGES, (number + 1) * MESSAGES
    start = number - number % SEGMENT_GROUPS
    for log_id in LOGS:
        made = _entry(number, size)
        records += [
            EntryRecord(log_id, made),
            _segment(log_id, start, number, size),
            ProducerRecord(log_id, 1, 0, end, ((base, MESSAGES, base),)),
            CursorRecord("risk", log_id, end, ()),
        ]
    if number % SEGMENT_GROUPS == 0 and (low := low_offset(number)):
        records += [EvictedRecord(log_id, low) for log_id in LOGS]
    if number % 7 == 0:
        records.append(letter(number + 1, topic="load"))
    return records


def low_offset(number: int) -> int:
    """The oldest offset kept after a group."""
    start = number - number % SEGMENT_GROUPS
    return max(0, start - (KEPT_SEGMENTS - 1) * SEGMENT_GROUPS) * MESSAGES


@lru_cache(maxsize=2 * SEGMENT_GROUPS)
def _entry(number: int, size: int) -> Entry:
    return entry(number * MESSAGES, MESSAGES, size=size)


def _segment(log_id: int, start: int, number: int, size: int) -> SegmentRecord:
    # All entries of the load store about as much; the exact sum is what the doctor compares.
    held = [_entry(one, size) for one in range(start, number + 1)]
    return SegmentRecord(
        log_id,
        start * MESSAGES,
        (number + 1) * MESSAGES,
        number - start + 1,
        sum(one.stored_bytes for one in held),
        held[-1].batch.header.last_time_unix_nano,
        held[-1].admitted_ns,
    )


def last_group(snapshot: Snapshot) -> int:
    """The number of the last group a store holds; -1 = none."""
    return snapshot.producer_names[0].epoch if snapshot.producer_names else -1


def check_is_prefix(snapshot: Snapshot, store: SqliteStore) -> int:
    """Check that a store holds exactly the groups up to its last one; return that one."""
    number = last_group(snapshot)
    if number < 0:
        return number
    end, log_ids = (number + 1) * MESSAGES, snapshot.topics[0].log_ids
    assert [cursor.next_offset for cursor in snapshot.cursors] == [end] * len(LOGS)
    assert [one.next_sequence for one in snapshot.producers] == [end] * len(LOGS)
    assert snapshot.dead_letters == {"load": number // 7 + 1}
    for log_id in log_ids:
        segments = [one for one in snapshot.segments if one.log_id == log_id]
        assert (segments[0].base_offset, segments[-1].next_offset) == (low_offset(number), end)
        offset, payloads = low_offset(number), []
        while found := store.read(log_id, offset, 1 << 20):
            payloads += [int(one.data.rstrip(b".")) for part in found for one in part.messages()]
            offset = found[-1].next_offset
        assert payloads == list(range(low_offset(number), end))
    return number


def main(folder: str, first: str, *options: str) -> None:
    """Write groups until somebody ends the process."""
    given = dict(option.split("=", 1) for option in options)
    size = int(given.pop("size", "60"))
    store = SqliteStore(
        Path(folder),
        synchronous=given.get("synchronous", "FULL"),
        exclusive_locking=given.get("exclusive") == "yes",
        checkpoint_pages=int(given.get("checkpoint_pages", "4000")),
    )
    store.load()
    number = int(first)
    if number == 0:
        store.write(first_records())
    while True:
        store.write(group(number, size))
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
