"""What is to be compacted and dropped, decided from the names of the files alone. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from bellwire.sink.folder import SEALED, DataFile, by_day

if TYPE_CHECKING:
    from bellwire.sink.settings import SinkSettings

__all__ = ["Merge", "UpkeepPlan", "plan_upkeep"]


@dataclass(frozen=True, slots=True)
class Merge:
    """Files of one day that become one.

    Attributes:
        day: Their day.
        files: At least one; a single one is written again, with another codec.
        level: Of the new file.
        codec: Of the new file.
    """

    day: date
    files: tuple[DataFile, ...]
    level: int
    codec: str

    @property
    def rows(self) -> int:
        """Rows before duplicates are left out."""
        return sum(file.rows for file in self.files)

    @property
    def stored_ns(self) -> int:
        """When the latest row was stored."""
        return max(file.stored_ns for file in self.files)


@dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """What is to do now, in that order."""

    dropped: tuple[date, ...]
    merges: tuple[Merge, ...]


def plan_upkeep(files: Sequence[DataFile], today: date, settings: SinkSettings) -> UpkeepPlan:
    """Return what is to do.

    - A day older than `keep_days` is dropped.
    - A day older than `recent_days` becomes one sealed file with the codec of old days; whatever comes for it
      later is merged into it.
    - In a recent day, `compact_files` files of one level become one of the next: a row is written again once a
      level, so a day of N files costs each row log(N) writings, and never holds more than
      `compact_files` − 1 files of a level.
    """
    kept_since = today - timedelta(days=settings.keep_days - 1) if settings.keep_days else date.min
    recent_since = today - timedelta(days=settings.recent_days - 1)
    days = by_day(files)
    dropped = tuple(day for day in days if day < kept_since)
    merges: list[Merge] = []
    for day, of_day in days.items():
        if day in dropped:
            continue
        if day < recent_since:
            merges.extend(_sealing(day, of_day, settings))
        else:
            merges.extend(_levelling(day, of_day, settings))
    return UpkeepPlan(dropped, tuple(merges))


def _sealing(day: date, files: Sequence[DataFile], settings: SinkSettings) -> Iterator[Merge]:
    if len(files) > 1 or files[0].level != SEALED:
        yield Merge(day, tuple(files), SEALED, settings.codec_old)


def _levelling(day: date, files: Sequence[DataFile], settings: SinkSettings) -> Iterator[Merge]:
    levels: dict[int, list[DataFile]] = {}
    for file in files:
        levels.setdefault(file.level, []).append(file)
    for level, of_level in sorted(levels.items()):
        if level < SEALED and len(of_level) >= settings.compact_files:
            oldest = sorted(of_level, key=lambda file: file.stored_ns)[: settings.compact_files]
            yield Merge(day, tuple(oldest), min(level + 1, SEALED - 1), settings.codec)
