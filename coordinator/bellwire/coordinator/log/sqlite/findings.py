"""Findings: what an examination of a store says, as data and as lines to print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

FINDINGS_MAX: Final = 1_000  # A wrecked database has one per row: beyond, they are only counted.


class Severity(Enum):
    """How bad a finding is."""

    ERROR = "error"  # Something is lost, or would be delivered wrongly.
    WARNING = "warning"  # Nothing is lost that was not meant to be, but somebody should look.
    INFO = "info"  # Worth knowing.


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        what: What is the matter.
        where: The row, log or file it concerns.
        advice: What to do.
    """

    severity: Severity
    what: str
    where: str
    advice: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.where}: {self.what}; {self.advice}"


@dataclass(slots=True)
class LogSummary:
    """What one log holds.

    Attributes:
        name: Topic and partition, or that it has none.
        first_offset: Of the first entry found; -1 = there is none.
        next_offset: After the last entry found.
        unreadable: Entries that cannot be read back; of a broken page their number is not known.
    """

    log_id: int
    name: str
    first_offset: int = -1
    next_offset: int = 0
    entries: int = 0
    messages: int = 0
    stored_bytes: int = 0
    unreadable: int = 0

    def __str__(self) -> str:
        if self.first_offset < 0:
            return f"{self.name} (log {self.log_id}): empty"
        health = f"{self.unreadable} UNREADABLE" if self.unreadable else "all readable"
        return (
            f"{self.name} (log {self.log_id}): offsets {self.first_offset:,} to {self.next_offset - 1:,}, "
            f"{self.messages:,} messages in {self.entries:,} entries, {self.stored_bytes:,} bytes, {health}"
        )


@dataclass(slots=True)
class Report:
    """The outcome of an examination.

    Attributes:
        path: What was examined.
        findings: The first ones, `FINDINGS_MAX` at most.
        omitted: How many more there were.
        logs: Every log found.
        counts: Rows of the other tables that could be read.
    """

    path: str
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0
    logs: list[LogSummary] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _errors: int = 0

    def add(self, severity: Severity, where: str, what: str, advice: str) -> None:
        """Take a finding in."""
        self._errors += severity is Severity.ERROR
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(severity, what, where, advice))
        else:
            self.omitted += 1

    @property
    def is_healthy(self) -> bool:
        """Whether there is no error among the findings."""
        return not self._errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that are errors."""
        return [one for one in self.findings if one.severity is Severity.ERROR]

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        yield f"examined {self.path}"
        yield from (f"  {summary}" for summary in self.logs)
        if self.counts:
            yield "  " + ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        yield from map(str, self.findings)
        if self.omitted:
            yield f"and {self.omitted:,} findings more"
        yield "healthy" if self.is_healthy else f"NOT HEALTHY: {self._errors:,} errors"
