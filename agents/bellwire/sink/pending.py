"""Rows on their way to a file, and the memory of those that came lately. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from bellwire.sink.columns import Identity, Row, day_of

if TYPE_CHECKING:
    from bellwire.client import Batch

__all__ = ["PendingRows", "RecentIds"]


class RecentIds:
    """Remembers which messages are durable: the latest `ids_max` of them; older ones are forgotten first."""

    __slots__ = ("_ids", "_ids_max")

    def __init__(self, ids_max: int) -> None:
        self._ids_max = ids_max
        self._ids: dict[Identity, None] = {}

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, identities: Iterable[Identity]) -> None:
        """Remember these as the latest, in their order."""
        for identity in identities:
            self._ids.pop(identity, None)
            self._ids[identity] = None
        while len(self._ids) > self._ids_max:
            del self._ids[next(iter(self._ids))]


class PendingRows:
    """Gathers deliveries until they are worth a file.

    A delivery may be accepted once `take_accepted` gives it: all its rows are durable then. What bounds the rows
    here is the window of the subscription, since nothing of them is accepted before.
    """

    def __init__(self, recent: RecentIds, batch_rows: int, linger_seconds: float) -> None:
        self._recent = recent
        self._batch_rows: Final = batch_rows
        self._linger_seconds: Final = linger_seconds
        self._by_day: dict[date, dict[Identity, Row]] = {}
        self._deliveries: list[Batch] = []
        self._due_at: float | None = None
        self._rows = 0
        self.duplicates = 0

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return self._rows

    @property
    def due_at(self) -> float | None:
        """When what waits is written at the latest; None = nothing waits."""
        return self._due_at

    def is_due(self, now: float) -> bool:
        """Tell whether there is enough to write, or it waited long enough."""
        return self._due_at is not None and (self._rows >= self._batch_rows or now >= self._due_at)

    def add(self, delivery: Batch, rows: Sequence[Row], now: float) -> None:
        """Take a delivery; rows that are durable or wait already are counted and left out."""
        for row in rows:
            identity = row.identity
            of_day = self._by_day.setdefault(day_of(row), {})
            # More than two days wait only after the sink was away.
            if identity in self._recent or any(identity in day for day in self._by_day.values()):
                self.duplicates += 1
                continue
            of_day[identity] = row
            self._rows += 1
        self._deliveries.append(delivery)
        if self._due_at is None:
            self._due_at = now + self._linger_seconds

    def by_day(self) -> Mapping[date, Sequence[Row]]:
        """Return what waits, by day; days without rows are left out."""
        return {day: list(rows.values()) for day, rows in sorted(self._by_day.items()) if rows}

    def written(self, day: date, refused: Collection[Identity] = ()) -> None:
        """Note that the rows of a day are durable: a retry after a failure of another day leaves them out.

        Args:
            day: Of these rows.
            refused: Of them, those that were not taken: redriven, they are not duplicates.
        """
        rows = self._by_day.pop(day)
        self._rows -= len(rows)
        self._recent.add(identity for identity in rows if identity not in refused)

    def take_accepted(self) -> Sequence[Batch]:
        """Return the deliveries to accept, once nothing waits any more."""
        assert self._rows == 0, "deliveries are accepted only when all rows are durable"
        deliveries, self._deliveries = self._deliveries, []
        self._by_day.clear()
        self._due_at = None
        return deliveries
