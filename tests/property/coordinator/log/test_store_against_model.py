"""Random records into every store at once, against a model that keeps plain lists; reopened in between."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.property.coordinator.log.kafka_in_memory import Cluster, Fault, InMemorySession

from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    CursorRecord,
    DeadLetterRecord,
    DeadLettersRemovedRecord,
    EntryRecord,
    EvictedRecord,
    ProducerNameRecord,
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
from bellwire.coordinator.log.sqlite import SqliteStore
from bellwire.coordinator.log.sqlite import writer as sqlite_writer
from bellwire.coordinator.log.store import DeadLetterQuery, Store
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

LOGS = st.integers(1, 4)
NAMES = st.sampled_from(["a", "b", "é/\x00'\""])
OTHER_LOGS = st.integers(5, 8)  # Those with entries have owners, of which there is one for each.
OWNER = "owner of log "
KAFKA = KafkaSettings("in memory", retry_seconds=(1e-6, 1e-6))
OFFSETS = st.integers(0, 60)
UINT64 = st.one_of(st.integers(0, 9), st.integers(2**64 - 9, 2**64 - 1))
INT63 = st.one_of(st.integers(0, 9), st.integers(2**63 - 9, 2**63 - 1))
BLOBS = st.binary(max_size=8)

STATE = st.one_of(
    st.builds(
        ProducerRecord,
        LOGS,
        UINT64,
        INT63,
        UINT64,
        st.lists(st.tuples(UINT64, OFFSETS, INT63), max_size=3).map(tuple),
    ),
    st.builds(ProducerNameRecord, NAMES, UINT64, INT63),
    st.builds(
        SubscriptionRecord,
        NAMES,
        st.lists(st.sampled_from(["t", "t.*", ">"]), max_size=3).map(tuple),
        st.integers(0, 2),
        st.integers(0, 4),
        st.integers(1, 1_000),
    ),
    st.builds(SubscriptionDeletedRecord, NAMES),
    st.builds(
        CursorRecord,
        NAMES,
        LOGS,
        INT63,
        st.lists(st.tuples(INT63, INT63, OFFSETS, OFFSETS), max_size=3).map(tuple),
    ),
    st.builds(SegmentRecord, LOGS, OFFSETS, OFFSETS, OFFSETS, INT63, INT63, INT63),
    st.builds(ResultRecord, NAMES, NAMES, BLOBS, BLOBS, INT63),
    st.builds(ResultsExpiredRecord, INT63),
)
LETTERS = st.builds(
    DeadLetterRecord,
    id=st.just(0),
    topic=NAMES,
    partition=st.integers(0, 3),
    offset=INT63,
    log_id=INT63,
    subscription=NAMES,
    cause=st.integers(0, 2),
    reason=st.sampled_from(["", "late", "too late %", "É\x00x"]),
    attempts=st.integers(0, 9),
    time_ns=st.integers(0, 9),
    key=NAMES,
    message=BLOBS,
)
QUERIES = st.builds(
    DeadLetterQuery,
    topic=NAMES,
    after_id=st.integers(0, 9),
    up_to_id=st.integers(0, 12),
    limit=st.integers(1, 5),
    subscription=st.one_of(st.just(""), NAMES),
    reason_contains=st.sampled_from(["", "late", "%", "\x00"]),
    key=st.one_of(st.just(""), NAMES),
    ids=st.lists(st.integers(1, 12), max_size=3).map(tuple),
    before_time_ns=st.integers(0, 9),
)


class Model:
    """What a store should hold: everything ever written, and what is gone of it."""

    def __init__(self) -> None:
        self.keyed: dict[tuple[Any, ...], Record] = {}
        self.entries: dict[int, list[Entry]] = {log_id: [] for log_id in range(1, 5)}
        self.letters: dict[int, DeadLetterRecord] = {}
        self.last_letter = 0

    def write(self, record: Record) -> None:
        """Take one record in."""
        match record:
            case EntryRecord():
                self.entries[record.log_id].append(record.entry)
            case EvictedRecord(log_id, low):
                self.entries[log_id] = [e for e in self.entries[log_id] if e.next_offset > low]
                self._drop(
                    lambda r: (
                        isinstance(r, SegmentRecord)
                        and r.log_id == log_id
                        and r.next_offset <= low
                        and r.base_offset < low
                    )
                )
            case SubscriptionDeletedRecord(name):
                self._drop(lambda r: isinstance(r, SubscriptionRecord) and r.name == name)
                self._drop(lambda r: isinstance(r, CursorRecord) and r.subscription == name)
            case ResultsExpiredRecord(time_ns):
                # 2**63 - 1 stands for every time beyond it, so it never comes.
                self._drop(lambda r: isinstance(r, ResultRecord) and r.expire_ns <= time_ns)
            case DeadLetterRecord():
                self.letters[record.id] = record
                self.last_letter = max(self.last_letter, record.id)
            case DeadLettersRemovedRecord(ids):
                for letter_id in ids:
                    self.letters.pop(letter_id, None)
            case TopicDeletedRecord(name, log_ids):
                self._drop(lambda r: isinstance(r, TopicRecord) and r.name == name)
                self._drop(lambda r: getattr(r, "log_id", 0) in log_ids)
                for log_id in log_ids:
                    self.entries[log_id] = []
            case _:
                self.keyed[key_of(record)] = record

    def _drop(self, gone: Any) -> None:
        self.keyed = {key: record for key, record in self.keyed.items() if not gone(record)}

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return what a store must read."""
        behind = [one for one in self.entries[log_id] if one.next_offset > offset]
        if not behind or behind[0].base_offset > offset:
            return []
        total, found = 0, []
        for one in behind:
            total += one.stored_bytes
            if found and total > bytes_max:
                break
            found.append(one)
        return found

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return what a store must find, by looking at every entry."""
        return next(
            (
                one.base_offset
                for one in self.entries[log_id]
                if first <= one.base_offset < last and one.time_reached_ns >= time_ns
            ),
            last,
        )

    def matching(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return the dead letters a store must give."""
        return [
            one
            for _, one in sorted(self.letters.items())
            if one.topic == query.topic
            and one.id > query.after_id
            and (one.id <= query.up_to_id or query.up_to_id == 0)
            and query.subscription in ("", one.subscription)
            and query.reason_contains in one.reason
            and query.key in ("", one.key)
            and (one.id in query.ids or not query.ids)
            and (one.time_ns < query.before_time_ns or query.before_time_ns == 0)
        ]


def key_of(record: Record) -> tuple[Any, ...]:
    """What the next record must share to replace this one."""
    names = {
        TopicRecord: ("name",),
        SegmentRecord: ("log_id", "base_offset"),
        ProducerRecord: ("log_id", "producer_id"),
        ProducerNameRecord: ("name",),
        SubscriptionRecord: ("name",),
        CursorRecord: ("subscription", "log_id"),
        ResultRecord: ("scope", "request_id"),
    }[type(record)]
    return (type(record), *(getattr(record, name) for name in names))


def state_of(snapshot: Snapshot) -> set[Record]:
    return {
        *snapshot.topics,
        *snapshot.segments,
        *snapshot.producers,
        *snapshot.producer_names,
        *snapshot.subscriptions,
        *snapshot.cursors,
        *snapshot.results,
    }


class StoresAgainstModel(RuleBasedStateMachine):
    """Groups of records, reads, and openings, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._swept, sqlite_writer.SWEPT_ENTRIES_MIN = sqlite_writer.SWEPT_ENTRIES_MIN, 1  # type: ignore[misc]
        self.folder = Path(tempfile.mkdtemp(prefix="bellwire-store-"))
        self.model = Model()
        self.memory = MemoryStore()
        self.sqlite = SqliteStore(self.folder, checkpoint_pages=2)
        self.cluster = Cluster()
        self.kafka = self.kafka_store()
        for store in self.stores:
            store.load()
        # A log belongs to a topic: to one whose records no test looks at, until one of them is its owner.
        self.kafka.write(
            [TopicRecord(f"{OWNER}{log_id}", b"", (log_id,)) for log_id in range(1, 5)]
        )
        self.ends = dict.fromkeys(range(1, 5), 0)
        self.low = dict.fromkeys(range(1, 5), 0)
        self.gone: set[int] = set()
        self.letters = 0
        self.openings = 1
        self.group: list[Record] = []

    @property
    def stores(self) -> tuple[Store, Store, Store]:
        return self.memory, self.sqlite, self.kafka

    def kafka_store(self) -> KafkaStore:
        return KafkaStore(KAFKA, InMemorySession(KAFKA, self.cluster))

    def teardown(self) -> None:
        self.sqlite.close()
        self.kafka.close()
        shutil.rmtree(self.folder)
        sqlite_writer.SWEPT_ENTRIES_MIN = self._swept  # type: ignore[misc]

    # ------------------------------------------------------------ staging

    @rule(log_id=LOGS, counts=st.lists(st.integers(1, 5), min_size=1, max_size=8), at=OFFSETS)
    def append(self, log_id: int, counts: list[int], at: int) -> None:
        if log_id in self.gone:
            return  # A deleted log's id is never given again.
        for count in counts:
            base = self.ends[log_id]
            messages = [new_message(data=b"x", time_unix_nano=base + 1) for _ in range(count)]
            self.ends[log_id] = base + count
            record = EntryRecord(log_id, Entry(encode_batch("t", 0, messages), base, at))
            self.group.append(record)

    @rule(log_id=LOGS, offset=OFFSETS)
    def evict(self, log_id: int, offset: int) -> None:
        low = max(self.low[log_id], min(offset, self.ends[log_id]))
        if log_id not in self.gone and low:
            self.low[log_id] = low
            self.group.append(EvictedRecord(log_id, low))

    @rule(record=STATE)
    def change(self, record: Record) -> None:
        if isinstance(record, SegmentRecord) and record.next_offset <= record.base_offset:
            return
        log_id = getattr(record, "log_id", 0)
        if log_id not in self.gone:
            self.group.append(record)

    @rule(name=NAMES, settings=BLOBS, log_ids=st.lists(OTHER_LOGS, max_size=2, unique=True))
    def put_topic(self, name: str, settings: bytes, log_ids: list[int]) -> None:
        self.group.append(TopicRecord(name, settings, tuple(log_ids)))

    @rule(name=NAMES, log_ids=st.lists(LOGS, max_size=2, unique=True))
    def delete_topic(self, name: str, log_ids: list[int]) -> None:
        self.gone |= set(log_ids)
        self.group.append(TopicDeletedRecord(name, tuple(log_ids)))

    @rule(letter=LETTERS)
    def give_up(self, letter: DeadLetterRecord) -> None:
        self.letters += 1
        self.group.append(replace(letter, id=self.letters))

    @rule(ids=st.lists(st.integers(1, 12), max_size=3))
    def remove_letters(self, ids: list[int]) -> None:
        self.group.append(DeadLettersRemovedRecord(tuple(ids)))

    @rule()
    def write(self) -> None:
        for record in self.group:
            self.model.write(record)
        for store in self.stores:
            store.write(self.group)
        self.group = []

    @rule(faults=st.lists(st.sampled_from(Fault), max_size=3))
    def break_connections(self, faults: list[Fault]) -> None:
        self.cluster.faults.extend(faults)

    # ------------------------------------------------------------ looking

    @rule()
    def reopen(self) -> None:
        self.openings += 1
        self.sqlite.close()
        self.sqlite = SqliteStore(self.folder, checkpoint_pages=2)
        self.cluster.faults.clear()  # They are for transactions of records.
        self.kafka.close()
        self.kafka = self.kafka_store()
        opened = self.sqlite.load(), self.kafka.load()
        for found in opened:
            assert (found.incarnation, found.after_crash) == (self.openings, False)
        for found in (*opened, self.memory.load()):
            found.topics = [one for one in found.topics if not one.name.startswith(OWNER)]
            assert state_of(found) == set(self.model.keyed.values())
            assert found.last_dead_letter_id == self.model.last_letter
            topics = [one.topic for one in self.model.letters.values()]
            assert found.dead_letters == {topic: topics.count(topic) for topic in topics}

    @rule(log_id=LOGS, offset=OFFSETS, bytes_max=st.integers(0, 500))
    def read(self, log_id: int, offset: int, bytes_max: int) -> None:
        expected = self.model.read(log_id, offset, bytes_max)
        for store in self.stores:
            found = store.read(log_id, offset, bytes_max)
            assert [(e.base_offset, e.batch, e.admitted_ns) for e in found] == [
                (e.base_offset, e.batch, e.admitted_ns) for e in expected
            ]

    @rule(log_id=LOGS, bounds=st.tuples(OFFSETS, OFFSETS), time_ns=OFFSETS)
    def find_time(self, log_id: int, bounds: tuple[int, int], time_ns: int) -> None:
        first, last = sorted(bounds)
        expected = self.model.find_time(log_id, first, last, time_ns)
        for store in self.stores:
            assert store.find_time(log_id, first, last, time_ns) == expected

    @rule(query=QUERIES)
    def query(self, query: DeadLetterQuery) -> None:
        expected = self.model.matching(query)
        for store in self.stores:
            assert store.dead_letters(query) == expected[: query.limit]
            greatest = max((one.id for one in expected), default=0)
            assert store.count_dead_letters(query) == (len(expected), greatest)

    @invariant()
    def nothing_evicted_is_seen(self) -> None:
        if self.group:
            return
        for log_id, low in self.low.items():
            for store in self.stores:
                found = store.read(log_id, max(0, low - 1), 1)
                assert all(one.next_offset > low for one in found)


TestStoresAgainstModel = pytest.mark.slow(StoresAgainstModel.TestCase)
TestStoresAgainstModel.settings = settings(max_examples=40, stateful_step_count=40)
