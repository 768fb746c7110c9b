"""The store of a coordinator without a folder: dead letters and results, in dictionaries, gone with the process."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import islice

from bellwire.coordinator.log.protocol import Entry
from bellwire.coordinator.log.records import (
    DeadLetterRecord,
    DeadLettersRemovedRecord,
    Record,
    Snapshot,
)
from bellwire.coordinator.log.store import DeadLetterQuery


class MemoryStore:
    """Keeps what somebody may ask for: dead letters. All else lives in the engine while it runs.

    Args:
        dead_letters_max: Dead letters kept per topic; beyond, the oldest go (DROP_OLDEST).

    Attributes:
        dead_letters_dropped: How many went that way.
    """

    durable = False
    path = ""

    def __init__(self, dead_letters_max: int = 10_000) -> None:
        self._dead_letters_max = dead_letters_max
        self._letters: OrderedDict[int, DeadLetterRecord] = OrderedDict()
        self._by_topic: dict[str, deque[int]] = {}
        self.dead_letters_dropped = 0

    def load(self) -> Snapshot:
        """Return nothing: nothing survives."""
        return Snapshot()

    def write(self, records: Sequence[Record]) -> None:
        """Keep the dead letters among the records."""
        for record in records:
            if isinstance(record, DeadLetterRecord):
                self._keep(record)
            elif isinstance(record, DeadLettersRemovedRecord):
                for letter_id in record.ids:
                    self._letters.pop(letter_id, None)

    def _keep(self, letter: DeadLetterRecord) -> None:
        self._letters[letter.id] = letter
        ids = self._by_topic.setdefault(letter.topic, deque())
        ids.append(letter.id)
        while len(ids) > self._dead_letters_max:
            if self._letters.pop(ids.popleft(), None) is not None:
                self.dead_letters_dropped += 1

    def read(self, log_id: int, offset: int, bytes_max: int) -> list[Entry]:
        """Return nothing: there are no durable logs."""
        return []

    def find_time(self, log_id: int, first: int, last: int, time_ns: int) -> int:
        """Return `last`: there are no durable logs."""
        return last

    def dead_letters(self, query: DeadLetterQuery) -> list[DeadLetterRecord]:
        """Return dead letters in the order of their ids."""
        return list(islice(self._matching(query), query.limit))

    def count_dead_letters(self, query: DeadLetterQuery) -> tuple[int, int]:
        """Return how many match, and the greatest id of them."""
        ids = [letter.id for letter in self._matching(query)]
        return len(ids), max(ids, default=0)

    def disk_bytes(self) -> int:
        """Return 0: there is no disk."""
        return 0

    def close(self) -> None:
        """Forget everything."""
        self._letters.clear()
        self._by_topic.clear()

    def _matching(self, query: DeadLetterQuery) -> Iterator[DeadLetterRecord]:
        for letter in tuple(self._letters.values()):
            if (
                letter.topic == query.topic
                and letter.id > query.after_id
                and not 0 < query.up_to_id < letter.id
                and query.subscription in ("", letter.subscription)
                and query.reason_contains in letter.reason
                and query.key in ("", letter.key)
                and (not query.ids or letter.id in query.ids)
                and not 0 < query.before_time_ns <= letter.time_ns
            ):
                yield letter
