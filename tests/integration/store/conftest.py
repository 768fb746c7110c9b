"""Every store there is, behind one fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from bellwire.coordinator.log.kafka import KafkaSettings, KafkaStore
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.records import EntryRecord, Record, Snapshot, TopicRecord
from bellwire.coordinator.log.sqlite import SqliteStore
from bellwire.coordinator.log.store import Store


class Shelf:
    """A store that can be closed and opened again where its kind survives that.

    Attributes:
        store: The open store.
        opened: What it held when it was opened last.
    """

    def __init__(self, make: Callable[[], Store]) -> None:
        self._make = make
        self.store = make()
        self.opened = self.store.load()

    def reopen(self) -> Snapshot:
        """Close and open again; a memory store only says what it holds."""
        if self.store.durable:
            self.store.close()
            self.store = self._make()
        self.opened = self.store.load()
        return self.opened


class WithTopics(KafkaStore):
    """A Kafka store for records that belong to no topic: it gives each log one that nobody hears of."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self._given: set[int] = set()
        self._prefix = settings.state_topic.removeprefix("_")

    def load(self) -> Snapshot:
        """Open the store."""
        found = super().load()
        self._given = {log for topic in found.topics for log in topic.log_ids}
        return replace(found, topics=[one for one in found.topics if not self._is_given(one)])

    def write(self, records: Sequence[Record]) -> None:
        """Write the records, those of topics before them."""
        logs = {record.log_id for record in records if isinstance(record, EntryRecord)}
        named = {log for one in records if isinstance(one, TopicRecord) for log in one.log_ids}
        self._given |= named
        fresh = sorted(logs - self._given)
        self._given |= logs
        super().write(
            [*(TopicRecord(f"{self._prefix}-{log}", b"", (log,)) for log in fresh), *records]
        )

    def _is_given(self, topic: TopicRecord) -> bool:
        return topic.name.startswith(f"{self._prefix}-")


def kafka_store(bootstrap: str) -> Callable[[], Store]:
    """A maker of stores that share a state topic of their own."""
    settings = KafkaSettings(bootstrap, state_topic=f"_state-{uuid4().hex}", request_seconds=5.0)
    return lambda: WithTopics(settings)


@pytest.fixture(params=["memory", "sqlite", "sqlite-exclusive", "kafka"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Each store in turn."""
    if request.param == "kafka":
        made = Shelf(kafka_store(request.getfixturevalue("kafka")))
        yield made
        made.store.close()
        return
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "data"),
        "sqlite-exclusive": lambda: SqliteStore(tmp_path / "data", exclusive_locking=True),
    }
    made = Shelf(makers[request.param])
    yield made
    made.store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"
