"""The examination of one log: every entry opened, gaps looked for, segments compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from bellwire.coordinator.log.records import SegmentRecord
from bellwire.coordinator.log.sqlite.findings import LogSummary, Report, Severity
from bellwire.coordinator.log.sqlite.rows import ENTRIES
from bellwire.coordinator.log.sqlite.table import Row
from bellwire.wire.batch import BLOCK_BYTES_MAX, BatchLimits, open_batch
from bellwire.wire.errors import BellwireError, DataCorruptError

# What was admitted under another setting is no damage.
_LIMITS: Final = BatchLimits(1 << 20, BLOCK_BYTES_MAX, BLOCK_BYTES_MAX)
_AFTER: Final = f"{ENTRIES.select} WHERE log_id = ? AND base_offset > ? ORDER BY base_offset"
RESTORE: Final = "restore a backup, or accept that subscribers never get it"


@dataclass(slots=True)
class _Tally:
    """What was found of one segment."""

    entries: int = 0
    stored_bytes: int = 0
    next_offset: int = 0


class LogExamination:
    """Walks one log from its oldest entry to its newest, around what cannot be read.

    Args:
        segments: The log's segments in offset order.
        low_offset: Entries that end at or below it are evicted and only wait to be removed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        summary: LogSummary,
        segments: Sequence[SegmentRecord],
        low_offset: int,
        report: Report,
    ) -> None:
        self._connection = connection
        self._summary = summary
        self._segments = segments
        self._tallies = [_Tally() for _ in segments]
        self._low_offset = low_offset
        self._report = report
        self._at = 0  # Index of the segment the walk is in.
        self._strays = 0
        self._evicted = 0

    def run(self) -> None:
        """Walk, then compare with the segments."""
        for row in self._rows():
            self._take(row)
        self._compare_segments()
        where = str(self._summary.name)
        if self._strays:
            self._error(where, f"{self._strays} entries are in no segment", RESTORE)
        if self._evicted:
            self._report.add(
                Severity.INFO,
                where,
                f"{self._evicted} evicted entries wait to be removed",
                "nothing to do: the coordinator removes them as it goes on",
            )

    def _rows(self) -> Iterator[Row]:
        """Yield every row that can be read; after a broken page go on at the next segment."""
        position: int | None = -1
        while position is not None:
            try:
                with closing(
                    self._connection.execute(_AFTER, (self._summary.log_id, position))
                ) as found:
                    for row in found:
                        position = row[1] if isinstance(row[1], int) else position
                        yield row
                return
            except sqlite3.DatabaseError as error:
                self._summary.unreadable += 1
                self._error(
                    f"{self._summary.name} after offset {position}",
                    f"entries cannot be read ({error})",
                    RESTORE,
                )
                position = self._next_segment_after(position)

    def _next_segment_after(self, position: int | None) -> int | None:
        bases = (one.base_offset for one in self._segments)
        return next((base - 1 for base in bases if base - 1 > (position or 0)), None)

    def _take(self, row: Row) -> None:
        _, base_offset, next_offset, stored_bytes = row[:4]
        if not all(isinstance(one, int) for one in row[:4]):
            self._open(row)  # It says what is wrong; where the entry ends is not known.
            return
        if next_offset <= self._low_offset:
            self._evicted += 1
            return
        summary = self._summary
        if summary.first_offset < 0:
            summary.first_offset = base_offset
        elif base_offset != summary.next_offset:
            self._gap(summary.next_offset, base_offset)
        self._open(row)
        summary.next_offset = next_offset
        summary.entries += 1
        summary.messages += next_offset - base_offset
        summary.stored_bytes += stored_bytes
        self._tally(base_offset, stored_bytes)

    def _open(self, row: Row) -> None:
        where = f"{self._summary.name} offset {row[1]}"
        try:
            open_batch(ENTRIES.record(row).entry.batch, _LIMITS)
        except DataCorruptError:
            self._summary.unreadable += 1
            self._error(where, "the entry is not what was written", RESTORE)
        except BellwireError as error:
            self._summary.unreadable += 1
            self._error(where, f"the batch cannot be opened: {error.message}", RESTORE)

    def _gap(self, expected: int, found: int) -> None:
        what = (
            f"offsets {expected} to {found - 1} are missing"
            if found > expected
            else f"offset {found} was used before, the entry before it ends at {expected}"
        )
        self._error(f"{self._summary.name} offset {min(expected, found)}", what, RESTORE)

    def _tally(self, base_offset: int, stored_bytes: int) -> None:
        segments = self._segments
        while self._at < len(segments) and base_offset >= segments[self._at].next_offset:
            self._at += 1
        if self._at == len(segments) or base_offset < segments[self._at].base_offset:
            self._strays += 1
            return
        tally = self._tallies[self._at]
        tally.entries += 1
        tally.stored_bytes += stored_bytes
        tally.next_offset = self._summary.next_offset

    def _compare_segments(self) -> None:
        previous: SegmentRecord | None = None
        for segment, tally in zip(self._segments, self._tallies, strict=True):
            where = f"{self._summary.name} segment {segment.base_offset}"
            said = (segment.entries, segment.stored_bytes, segment.next_offset)
            found = (tally.entries, tally.stored_bytes, tally.next_offset)
            if said != found:
                self._error(
                    where,
                    "it should hold {} entries, {} bytes, up to offset {}".format(*said)
                    + "; found were {}, {}, {}".format(*found),
                    RESTORE,
                )
            if previous is not None and previous.next_offset != segment.base_offset:
                self._error(where, f"the one before it ends at {previous.next_offset}", RESTORE)
            previous = segment

    def _error(self, where: str, what: str, advice: str) -> None:
        self._report.add(Severity.ERROR, where, what, advice)
