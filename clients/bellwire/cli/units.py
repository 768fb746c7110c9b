"""Quantities as people read them: durations, sizes, counts, times of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = [
    "bytes_text",
    "clock_text",
    "count_text",
    "counted_text",
    "duration_text",
    "moment_text",
    "span_text",
]

NANOS_PER_SECOND: Final = 1_000_000_000
_KIB: Final = 1024


def duration_text(seconds: float) -> str:
    """Return three significant figures with the unit that fits: "640 µs", "1.20 ms", "3.4 s"."""
    if seconds < 0:
        return f"-{duration_text(-seconds)}"
    for scale, unit in ((1e-3, "µs"), (1.0, "ms")):
        if seconds < scale * 0.9995:
            return f"{_three_figures(seconds / scale * 1000)} {unit}"
    return f"{_three_figures(seconds)} s"


def _three_figures(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def span_text(seconds: float) -> str:
    """Return a long span in its two largest units: "42 s", "3 min 5 s", "2 d 4 h"."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def bytes_text(size: float) -> str:
    """Return a size in binary units: "812 B", "3.4 KiB", "1.2 MiB"."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{_three_figures(value)} {unit}"
        value /= _KIB
    return f"{_three_figures(value)} GiB"


def count_text(count: int) -> str:
    """Return a count with thousands separated by a comma."""
    return f"{count:,}"


def counted_text(count: int, noun: str) -> str:
    """Return a count with its noun, whose plural ends in -s or -es: "1 batch", "2,500 messages"."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def clock_text(unix_nano: int) -> str:
    """Return the UTC time of day with milliseconds; a dash for 0, which means "not set"."""
    if not unix_nano:
        return "-"
    return _utc(unix_nano).strftime("%H:%M:%S.") + f"{unix_nano // 1_000_000 % 1000:03d}"


def moment_text(unix_nano: int) -> str:
    """Return date and time in UTC to the second; a dash for 0."""
    return _utc(unix_nano).strftime("%Y-%m-%d %H:%M:%S") if unix_nano else "-"


def _utc(unix_nano: int) -> datetime:
    return datetime.fromtimestamp(unix_nano // NANOS_PER_SECOND, UTC)
