"""Random life of two durable logs over one journal and one cache, against plain lists of entries.

Entries are staged, committed, rolled back, evicted from memory and by retention, loaded late, and found
again after a crash in what was committed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bellwire.coordinator.core.journal import Group, Journal
from bellwire.coordinator.log.cache import EntryCache
from bellwire.coordinator.log.durable import DurableLog, Segment
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import EntryRecord, EvictedRecord, SegmentRecord
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import StoreFullError
from bellwire.wire.message import new_message

LOGS = 2
RETENTION_MESSAGES = 48  # An eighth of it is a segment: 6 messages.
RETENTION_BYTES = 16_000  # An eighth: 2,000 bytes.
RETENTION_SECONDS = 8  # An eighth: 1 s.
SECOND_NS = 1_000_000_000
CACHE_BYTES = st.sampled_from([1, 300, 2_000, 1 << 20])
SIZES = st.sampled_from([0, 100, 700])
WHICH = st.integers(0, LOGS - 1)


@dataclass
class Disk:
    """What the store has of one log."""

    entries: list[Entry] = field(default_factory=list)
    segments: dict[int, SegmentRecord] = field(default_factory=dict)

    def write(self, record: object) -> None:
        if isinstance(record, EntryRecord):
            assert record.entry.base_offset == (self.entries[-1].next_offset if self.entries else 0)
            self.entries.append(record.entry)
        elif isinstance(record, SegmentRecord):
            self.segments[record.base_offset] = record
        elif isinstance(record, EvictedRecord):
            self.segments = {
                base: segment
                for base, segment in self.segments.items()
                if base >= record.low_offset or segment.next_offset > record.low_offset
            }

    def load(self, asked: int, count: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.next_offset > asked][:count]


@dataclass
class Place:
    """A log beside its model: every entry ever, those staged included, and where it begins."""

    log: DurableLog
    entries: list[Entry] = field(default_factory=list)
    low: int = 0
    committed: int = 0
    disk: Disk = field(default_factory=Disk)
    wanted: deque[int] = field(default_factory=deque)

    def kept(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.base_offset >= self.low]

    def end(self) -> int:
        return self.entries[-1].next_offset if self.entries else 0


class DurableLogMachine(RuleBasedStateMachine):
    """The rules."""

    @initialize(cache_bytes=CACHE_BYTES)
    def begin(self, cache_bytes: int) -> None:
        self.cache_bytes = cache_bytes
        self.clock_ns = 0
        self.group: Group | None = None
        self.ends: list[int] = []
        self._start([Disk() for _ in range(LOGS)])

    # -------------------------------------------------------- append and commit

    @rule(which=WHICH, counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), size=SIZES)
    def append(self, which: int, counts: list[int], size: int) -> None:
        for count in counts:
            self._append(self.places[which], count, size, self.clock_ns)

    @rule(which=WHICH, time_ns=st.integers(1, 1_000))
    def append_with_a_clock_that_goes_its_own_way(self, which: int, time_ns: int) -> None:
        self._append(self.places[which], 1, 10, time_ns)

    @precondition(lambda self: self.group is None)
    @rule()
    def take_a_group(self) -> None:
        self.group = self.journal.take()
        self.ends = [place.end() for place in self.places]

    @precondition(lambda self: self.group is not None)
    @rule()
    def commit(self) -> None:
        assert self.group is not None
        for record in self.group.records:
            for place in self.places:
                if getattr(record, "log_id", None) == place.log.log_id:
                    place.disk.write(record)
        for place, end in zip(self.places, self.ends, strict=True):
            place.committed = end
        self.journal.committed(self.group)
        self.group = None
        self._check_disk()

    @precondition(lambda self: self.group is not None)
    @rule()
    def fail_the_commit(self) -> None:
        assert self.group is not None
        for place in self.places:
            place.entries = [e for e in place.entries if e.next_offset <= place.committed]
        self.journal.failed(self.group, StoreFullError("the disk is full"))
        self.group = None

    @rule()
    def crash(self) -> None:
        self.group = None
        self._start([place.disk for place in self.places])

    # -------------------------------------------------------- read and load

    @rule(which=WHICH, back=st.integers(-3, 30))
    def read(self, which: int, back: int) -> None:
        place = self.places[which]
        offset = place.log.end_offset - back
        asked = len(place.wanted)
        entry = place.log.read(offset)
        if not place.low <= offset < place.committed:
            assert entry is None
            assert len(place.wanted) == asked, "it asked for what cannot be read"
        elif entry is None:
            assert offset in place.wanted
        else:
            assert entry is self._holder(place, offset)
        assert len(set(place.wanted)) == len(place.wanted), "it asked twice"

    @precondition(lambda self: any(place.wanted for place in self.places))
    @rule(data=st.data(), count=st.integers(1, 5))
    def answer(self, data: st.DataObject, count: int) -> None:
        """In any order, and perhaps when it has been evicted since."""
        place = data.draw(st.sampled_from([place for place in self.places if place.wanted]))
        asked = place.wanted[data.draw(st.integers(0, len(place.wanted) - 1))]
        self._answer(place, asked, count)
        if asked >= place.low and place.log.read(asked) is None:
            # With others loaded behind it, a small cache may have let it go again already.
            assert self.cache_bytes < 1 << 20
            assert place.wanted[-1] == asked, "it does not ask again"

    @precondition(lambda self: any(place.kept() for place in self.places))
    @rule(data=st.data(), time_ns=st.integers(0, 1_001))
    def find_a_time(self, data: st.DataObject, time_ns: int) -> None:
        place = data.draw(st.sampled_from([place for place in self.places if place.kept()]))
        late_enough = [
            entry.base_offset
            for entry in place.kept()
            if entry.batch.header.last_time_unix_nano >= time_ns
        ]
        found = place.log.find_time(time_ns)
        assert place.low <= found <= min(late_enough, default=place.end())

    # -------------------------------------------------------- retention

    @rule(which=WHICH)
    def evict(self, which: int) -> None:
        place = self.places[which]
        oldest = place.log.oldest()
        if oldest is None:
            assert len(place.log) < 2 or place.committed < place.log._segments[0].next_offset
            return
        self._evict(place, oldest)

    @rule(which=WHICH)
    def evict_all_that_can_be(self, which: int) -> None:
        place = self.places[which]
        while (oldest := place.log.oldest()) is not None:
            self._evict(place, oldest)

    @rule(which=WHICH, seconds=st.integers(0, 9))
    def expire(self, which: int, seconds: int) -> None:
        """Of a quiet log the last segment may go, too."""
        place, before_ns = self.places[which], self.clock_ns - seconds * SECOND_NS
        while (oldest := place.log.expired(before_ns)) is not None:
            self._evict(place, oldest, before_ns)
        if place.kept() and place.kept()[0].next_offset <= place.committed:
            first = place.log._segments[0]
            within = [e for e in place.kept() if e.next_offset <= first.next_offset]
            assert first.next_offset > place.committed or within[-1].admitted_ns >= before_ns

    @rule(seconds=st.integers(1, 9))
    def time_passes(self, seconds: int) -> None:
        self.clock_ns += seconds * SECOND_NS

    # -------------------------------------------------------- what must always hold

    @invariant()
    def a_log_counts_what_it_keeps(self) -> None:
        for place in getattr(self, "places", ()):
            log = place.log
            assert (log.low_offset, log.high_watermark, log.end_offset) == (
                place.low,
                place.committed,
                place.end(),
            )
            assert log.stored_bytes == sum(entry.stored_bytes for entry in place.kept())
            assert log.error is None

    @invariant()
    def segments_agree_with_entries(self) -> None:
        for place in getattr(self, "places", ()):
            segments = [s.record(place.log.log_id) for s in place.log._segments]
            _check_segments(segments, place.entries, place.low, place.end())

    @invariant()
    def the_cache_is_bounded(self) -> None:
        if not hasattr(self, "places"):
            return
        held = [e for place in self.places for e in place.log._cached._by_base.values()]
        assert sum(entry.stored_bytes for entry in held) <= self.cache.size_bytes
        assert self.cache.size_bytes <= self.cache_bytes or len(self.cache._order) == 1

    def teardown(self) -> None:
        """What was committed and is kept can be read, whole and in order, however small the cache."""
        for place in getattr(self, "places", ()):
            offset, read = place.low, []
            while offset < place.committed:
                entry = place.log.read(offset)
                if entry is None:
                    self._answer(place, offset, 1)
                    entry = place.log.read(offset)
                assert entry is not None
                read.append(entry)
                offset = entry.next_offset
            assert read == [e for e in place.kept() if e.next_offset <= place.committed]

    # -------------------------------------------------------- the model

    def _start(self, disks: list[Disk]) -> None:
        self.journal = Journal(1 << 30)
        self.cache = EntryCache(self.cache_bytes)
        self.places = []
        for log_id, disk in enumerate(disks, start=1):
            log = DurableLog(
                log_id,
                self.journal,
                self.cache,
                retention_messages=RETENTION_MESSAGES,
                retention_bytes=RETENTION_BYTES,
                retention_seconds=RETENTION_SECONDS,
                segments=[disk.segments[base] for base in sorted(disk.segments)],
            )
            end = disk.entries[-1].next_offset if disk.entries else 0
            place = Place(log, list(disk.entries), min(disk.segments, default=0), end, disk)
            log.on_missing = place.wanted.append
            self.places.append(place)

    def _append(self, place: Place, count: int, size: int, time_ns: int) -> None:
        self.clock_ns += 1
        message = new_message(data=bytes(size), time_unix_nano=time_ns)
        batch = encode_batch("t", 0, [message] * count, compress_above_bytes=1 << 20)
        entry = Entry(batch, place.end(), self.clock_ns)
        assert place.log.end_offset == entry.base_offset
        place.log.append(entry)
        place.entries.append(entry)

    def _answer(self, place: Place, asked: int, count: int) -> None:
        place.wanted.remove(asked)
        kept = [e for e in place.disk.load(asked, count) if e.base_offset >= place.low]
        place.log.loaded(asked, kept)

    def _holder(self, place: Place, offset: int) -> Entry:
        return next(e for e in place.entries if e.base_offset <= offset < e.next_offset)

    def _evict(self, place: Place, oldest: Segment, before_ns: int | None = None) -> None:
        assert (oldest.base_offset, oldest.next_offset <= place.committed) == (place.low, True)
        gone = [e for e in place.kept() if e.next_offset <= oldest.next_offset]
        assert gone[-1].next_offset == oldest.next_offset
        assert sum(entry.stored_bytes for entry in gone) == oldest.stored_bytes
        assert before_ns is None or all(entry.admitted_ns < before_ns for entry in gone)
        assert place.log.evict_oldest() is oldest
        place.low = oldest.next_offset

    def _check_disk(self) -> None:
        """At every commit the store's segments fit the store's entries: it may be opened then."""
        for place in self.places:
            segments = [place.disk.segments[base] for base in sorted(place.disk.segments)]
            end = place.disk.entries[-1].next_offset if place.disk.entries else 0
            assert end == place.committed
            low = segments[0].base_offset if segments else 0
            _check_segments(segments, place.disk.entries, low, end)


def _check_segments(
    segments: list[SegmentRecord], entries: list[Entry], low: int, end: int
) -> None:
    bases = [entry.base_offset for entry in entries]
    expected, time_ns = low, 0
    for segment in segments:
        first = bisect_left(bases, segment.base_offset)
        last = bisect_left(bases, segment.next_offset)
        within = entries[first:last]
        assert segment.base_offset == expected
        assert segment.entries == len(within)
        assert within or segments == [segment], "only a log of nothing else has an empty segment"
        assert segment.stored_bytes == sum(entry.stored_bytes for entry in within)
        assert all(segment.last_admitted_ns >= entry.admitted_ns for entry in within)
        times = [time_ns, *(entry.batch.header.last_time_unix_nano for entry in within)]
        assert segment.last_time_ns >= max(times), "times must be in order"
        expected, time_ns = segment.next_offset, segment.last_time_ns
    assert expected == end


TestDurableLog = DurableLogMachine.TestCase
TestDurableLog.settings = settings(max_examples=100, stateful_step_count=40)
