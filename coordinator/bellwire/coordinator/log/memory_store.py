"""The memory store: what a coordinator without a data folder keeps, gone with the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final

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
from bellwire.coordinator.log.store import DeadLetterQuery

DEAD_LETTERS_MAX: Final = 10_000  # Per topic: at 1 kB each, 10 MB of a topic nobody looks after.
RESULTS_MAX: Final = 100_000  # A day of one call per second.
_BASE_OFFSET: Final = attrgetter("base_offset")
_NEXT_OFFSET: Final = attrgetter("next_offset")


class MemoryStore:
    """A `Store` in dicts. Policy of both bounds: DROP_OLDEST, counted.

    Attributes:
        dropped_dead_letters: Dead letters that went because their topic had too many.
        dropped_results: Results that went because there were too many.
    """

    durable = False
    path = ""
    kafka_cluster = ""
    outage = None  # It is its own.

    def __init__(
        self, *, dead_letters_max: int = DEAD_LETTERS_MAX, results_max: int = RESULTS_MAX
    ) -> None:
        self._dead_letters_max = dead_letters_max
        self._results_max = results_max
        self.dropped_dead_letters = 0
        self.dropped_results = 0
        self._topics: dict[str, TopicRecord] = {}
        self._entries: defaultdict[int, list[Entry]] = defaultdict(list)  # In offset order.
        self._segments: dict[tuple[int, int], SegmentRecord] = {}
        self._producers: dict[tuple[int, int], ProducerRecord] = {}
        self._producer_names: dict[str, ProducerNameRecord] = {}
        self._subscriptions: dict[str, SubscriptionRecord] = {}
        self._cursors: dict[tuple[str, int], CursorRecord] = {}
        self._dead_letters: defaultdict[str, dict[int, DeadLetterRecord]] = defaultdict(dict)
        self._topic_of_letter: dict[int, str] = {}
        self._last_dead_letter_id = 0
        self._results: dict[tuple[str, str], ResultRecord] = {}  # The oldest first.
        self._handlers: Final[dict[type, Callable[[Any], None]]] = {
            TopicRecord: self._put_topic,
            TopicDeletedRecord: self._delete_topic,
            EntryRecord: self._put_entry,
            SegmentRecord: self._put_segment,
            EvictedRecord: self._evict,
            ProducerRecord: self._put_producer,
            ProducerNameRecord: self._put_producer_name,
            SubscriptionRecord: self._put_subscription,
            SubscriptionDeletedRecord: self._delete_subscription,
            CursorRecord: self._put_cursor,
            DeadLetterRecord: self._put_dead_letter,
            DeadLettersRemovedRecord: self._remove_dead_letters,
            ResultRecord: self._put_result,
            ResultsExpiredRecord: self._expire_results,
        }

    def load(self) -> Snapshot:
        """Return what it holds: nothing, when it is new."""
        return Snapshot(
            topics=_sorted(self._topics),
            segments=_sorted(self._segments),
            producers=_sorted(self._producers),
            producer_names=_sorted(self._producer_names),
            subscriptions=_sorted(self._subscriptions),
            cursors=_sorted(self._cursors),
            results=_sorted(self._results),
            dead_letters={
                topic: len(letters) for topic, letters in self._dead_letters.items() if letters
            },
            last_dead_letter_id=self._last_dead_letter_id,
        )

    def write(self, records: Sequence[Record]) -> None:
        """Take all records in, in order."""
        for record in records:
            self._handlers[type(record)](record)

    def give_up(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def disk_bytes(self) -> int:
        """Return 0: nothing is on a disk."""
        return 0

    # ------------------------------------------------------------ logs

    def _put_topic(self, record: TopicRecord) -> None:
        self._topics[record.name] = record

    def _delete_topic(self, record: TopicDeletedRecord) -> None:
        self._topics.pop(record.name, None)
        gone = frozenset(record.log_ids)
        for log_id in gone:
            self._entries.pop(log_id, None)
        _drop(self._segments, lambda segment: segment.log_id in gone)
        _drop(self._producers, lambda producer: producer.log_id in gone)
        _drop(self._cursors, lambda cursor: cursor.log_id in gone)

    def _put_entry(self, record: EntryRecord) -> None:
        entries, base = self._entries[record.log_id], record.entry.base_offset
        at = bisect_left(entries, base, key=_BASE_OFFSET)
        replaced = at < len(entries) and entries[at].base_offset == base
        entries[at : at + replaced] = [record.entry]

    def _put_segment(self, record: SegmentRecord) -> None:
        self._segments[record.log_id, record.base_offset] = record

    def _evict(self, record: EvictedRecord) -> None:
        entries = self._entries[record.log_id]
        gone = bisect_right(entries, record.low_offset, key=_NEXT_OFFSET)
        del entries[:gone]
        _drop(
            self._segments,
            lambda segment: (
                segment.log_id == record.log_id and segment.next_offset <= record.low_offset
            ),
        )

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return neighbouring entries; see `Store.read`."""
        entries = self._entries.get(log_id, [])
        first = bisect_right(entries, offset, key=_BASE_OFFSET) - 1
        if first < 0 or entries[first].next_offset <= offset:
            return []
        found = [entries[first]]
        left = bytes_max - found[0].stored_bytes
        for entry in islice(entries, first + 1, None):
            left -= entry.stored_bytes
            if left < 0 or entry.base_offset != found[-1].next_offset:
                break
            found.append(entry)
        return found

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return the first entry that reaches a time; see `Store.find_time`."""
        entries = self._entries.get(log_id, [])
        low = bisect_left(entries, first, key=_BASE_OFFSET)
        high = bisect_left(entries, last, lo=low, key=_BASE_OFFSET)
        at = bisect_left(entries, time_ns, lo=low, hi=high, key=_last_time)
        return entries[at].base_offset if at < high else last

    # ------------------------------------------------------------ producers and subscriptions

    def _put_producer(self, record: ProducerRecord) -> None:
        self._producers[record.log_id, record.producer_id] = record

    def _put_producer_name(self, record: ProducerNameRecord) -> None:
        self._producer_names[record.name] = record

    def _put_subscription(self, record: SubscriptionRecord) -> None:
        self._subscriptions[record.name] = record

    def _delete_subscription(self, record: SubscriptionDeletedRecord) -> None:
        self._subscriptions.pop(record.name, None)
        _drop(self._cursors, lambda cursor: cursor.subscription == record.name)

    def _put_cursor(self, record: CursorRecord) -> None:
        self._cursors[record.subscription, record.log_id] = record

    # ------------------------------------------------------------ dead letters

    def _put_dead_letter(self, record: DeadLetterRecord) -> None:
        letters = self._dead_letters[record.topic]
        letters[record.id] = record
        self._topic_of_letter[record.id] = record.topic
        self._last_dead_letter_id = max(self._last_dead_letter_id, record.id)
        while len(letters) > self._dead_letters_max:
            oldest = next(iter(letters))
            del letters[oldest], self._topic_of_letter[oldest]
            self.dropped_dead_letters += 1

    def _remove_dead_letters(self, record: DeadLettersRemovedRecord) -> None:
        for letter_id in record.ids:
            topic = self._topic_of_letter.pop(letter_id, None)
            if topic is not None:
                del self._dead_letters[topic][letter_id]

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        return list(islice(self._matching(query), query.limit))

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        ids = [letter.id for letter in self._matching(query)]
        return len(ids), max(ids, default=0)

    def _matching(self, query: DeadLetterQuery) -> Iterator[DeadLetterRecord]:
        letters = self._dead_letters.get(query.topic, {})
        wanted = sorted(letters.keys() & frozenset(query.ids) if query.ids else letters)
        return (letters[key] for key in wanted if matches(letters[key], query))

    # ------------------------------------------------------------ results

    def _put_result(self, record: ResultRecord) -> None:
        key = record.scope, record.request_id
        self._results.pop(key, None)  # So that the dict's order stays that of their writing.
        self._results[key] = record
        while len(self._results) > self._results_max:
            del self._results[next(iter(self._results))]
            self.dropped_results += 1

    def _expire_results(self, record: ResultsExpiredRecord) -> None:
        _drop(self._results, lambda result: result.expire_ns <= record.time_ns)


def matches(letter: DeadLetterRecord, query: DeadLetterQuery) -> bool:
    """Tell whether a dead letter meets all conditions but those of its topic and ids."""
    return (
        letter.id > query.after_id
        and (not query.up_to_id or letter.id <= query.up_to_id)
        and (not query.subscription or letter.subscription == query.subscription)
        and query.reason_contains in letter.reason
        and (not query.key or letter.key == query.key)
        and (not query.before_time_ns or letter.time_ns < query.before_time_ns)
    )


def _drop(records: dict[Any, Any], gone: Callable[[Any], bool]) -> None:
    for key in [key for key, record in records.items() if gone(record)]:
        del records[key]


def _sorted(records: dict[Any, Any]) -> list[Any]:
    return [records[key] for key in sorted(records)]


def _last_time(entry: Entry) -> int:
    return entry.time_reached_ns
