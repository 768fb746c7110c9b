"""A store in a folder, filled by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.sink import Answer, ParquetWriter, QuerySettings, SinkSettings, ask
from bellwire.sink.columns import day_of, rows_of
from bellwire.sink.folder import StoreFolder
from bellwire.sink.upkeep import UpkeepReport, run_upkeep

NOON_NS = 1_795_262_400_000_000_000  # 2026-11-21 12:00 UTC
TODAY = date(2026, 11, 21)


class Nobody:
    """Settles nothing: these deliveries come from no bus."""

    def settle(self, *_arguments: Any) -> None:
        raise AssertionError("a writer settles nothing")


class Shop:
    """A store, its writer, and questions to it."""

    def __init__(self, root: Path, settings: SinkSettings) -> None:
        self.root = root
        self.settings = settings
        self.folder = StoreFolder(root)
        self.writer = ParquetWriter(self.folder, settings)
        self._offsets: dict[str, int] = {}
        self._stored_ns = NOON_NS

    def put(self, topic: str, messages: Sequence[Message], admitted_ns: int = NOON_NS) -> None:
        """Write messages as one file."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + len(messages)
        batch = Batch(messages, topic, 0, offset, Nobody(), admitted_time_unix_nano=admitted_ns)
        self._stored_ns += 1
        rows = rows_of(batch, self._stored_ns)
        self.writer.write(day_of(rows[0]), rows)

    def ask(self, sql: str, **settings: Any) -> Answer:
        """Ask the store."""
        return ask(self.root, sql, replace(QuerySettings(), **settings))

    def rows(self, sql: str) -> Sequence[tuple[object, ...]]:
        """Return the rows of an answer."""
        return self.ask(sql).rows

    def upkeep(self, today: date = TODAY) -> UpkeepReport:
        """Compact, seal and drop."""
        return run_upkeep(self.folder, self.settings, today)

    def reopen(self) -> None:
        """Close the writer and open it again."""
        self.writer.close()
        self.writer = ParquetWriter(self.folder, self.settings)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An empty store."""
    made = Shop(tmp_path / "store", replace(SinkSettings(), compact_files=3))
    yield made
    made.writer.close()
