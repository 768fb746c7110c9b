"""bellwire.coordinator.log.memory: entries by offset and by time, the oldest evicted first."""

from __future__ import annotations

from bellwire.coordinator.log.memory import MemoryLog
from bellwire.coordinator.log.protocol import Entry
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message


def log_of(*counts: int) -> MemoryLog:
    """A log whose messages carry their offset as time."""
    log = MemoryLog()
    for count in counts:
        base = log.end_offset
        messages = [new_message(data=b"x", time_unix_nano=base + n) for n in range(count)]
        log.append(Entry(encode_batch("t", 0, messages), base, 0))
    return log


def base_of(entry: Entry | None) -> int | None:
    return None if entry is None else entry.base_offset


def test_an_offset_inside_an_entry_finds_it():
    log = log_of(3, 1, 4)
    assert [base_of(log.read(n)) for n in range(9)] == [0, 0, 0, 3, 4, 4, 4, 4, None]


def test_nothing_is_read_below_the_oldest_or_above_the_newest():
    log = log_of(3, 1)
    log.evict_oldest()
    assert [base_of(log.read(n)) for n in (-1, 0, 2, 3, 4, 99)] == [None, None, None, 3, None, None]


def test_eviction_takes_the_oldest_and_counts_it_out():
    log = log_of(3, 1)
    oldest = log.oldest()
    stored = log.stored_bytes
    assert log.evict_oldest() is oldest
    assert oldest is not None
    assert (log.low_offset, log.end_offset, len(log)) == (3, 4, 1)
    assert log.stored_bytes == stored - oldest.stored_bytes
    log.evict_oldest()
    assert (log.low_offset, log.end_offset, log.stored_bytes, log.oldest()) == (4, 4, 0, None)


def test_a_time_finds_the_first_entry_that_reaches_it():
    log = log_of(3, 1, 4)
    assert [log.find_time(time) for time in (0, 2, 3, 4, 7, 8)] == [0, 0, 3, 4, 4, 8]
    assert MemoryLog().find_time(5) == 0
