"""Every store there is, behind one fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.log.records import Snapshot
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


@pytest.fixture(params=["memory", "sqlite", "sqlite-exclusive"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Each store in turn."""
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
