"""Moments and durations as people write them: RFC 3339, or so long before or after now."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from bellwire.cli.faults import UsageFault

__all__ = ["MOMENT_HELP", "parse_duration", "parse_moment", "spell_out_relative"]

NANOS_PER_SECOND: Final = 1_000_000_000
MOMENT_HELP: Final = "2026-01-31T09:30:00Z (UTC when it names no zone) or relative: -15m, +30s"
# Fifteen digits of nanoseconds end in 1970: a shorter number is seconds or a typing mistake.
NANO_DIGITS_MIN: Final = 16
UNIX_NANO_MAX: Final = (1 << 63) - 1  # What the store's integers hold; the year 2262.

_SECONDS_OF: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_RELATIVE: Final = re.compile(rf"(?:now)?(?:([+-])({_DURATION.pattern}))?")
_FIXED: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d{2}:\d{2})?"
)


def parse_duration(text: str, what: str) -> float:
    """Return seconds: "90", "1.5s", "250ms", "1h30m"; `what` names the option in the error.

    Raises:
        UsageFault: The text is no duration.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise UsageFault(f"{what} is {text!r}; expected seconds, or for example 30s, 15m, 1h30m")
    return sum(float(count) * _SECONDS_OF[unit] for count, unit in _PART.findall(text))


def parse_moment(text: str, now_ns: int, what: str) -> int:
    """Return nanoseconds since the Unix epoch; `what` names the option in the error.

    Taken are RFC 3339 (UTC when it names no zone), a date, "now", "-15m", "now+1h30m", and the
    nanoseconds that `--json` prints.

    Raises:
        UsageFault: The text is no moment, or not one after 1970 and before 2262.
    """
    found = _moment(text, now_ns)
    if found is None:
        raise UsageFault(f"{what} is {text!r}; expected a time: {MOMENT_HELP}")
    if not 0 < found <= UNIX_NANO_MAX:
        raise UsageFault(f"{what} is {text!r}; expected a time after 1970 and before 2262")
    return found


def _moment(text: str, now_ns: int) -> int | None:
    if text.isdecimal() and text.isascii() and len(text) >= NANO_DIGITS_MIN:
        return int(text)
    relative = _RELATIVE.fullmatch(text) if text else None
    if relative is not None:
        sign, length = relative.groups()
        ahead_ns = round(parse_duration(length, text) * NANOS_PER_SECOND) if length else 0
        return now_ns - ahead_ns if sign == "-" else now_ns + ahead_ns
    fixed = _FIXED.fullmatch(text)
    return None if fixed is None else _fixed(*fixed.groups())


def _fixed(date: str, clock: str | None, fraction: str | None, zone: str | None) -> int | None:
    """Return the moment; the fraction is read by itself because datetime ends at microseconds."""
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        seconds = datetime.fromisoformat(f"{date}T{clock or '00:00'}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    nanos = int((fraction or "0").ljust(9, "0"))
    return int(seconds.timestamp()) * NANOS_PER_SECOND + nanos


def spell_out_relative(arguments: list[str]) -> list[str]:
    """Return the arguments with "-15m" as "now-15m", so that no parser takes it for an option."""
    return [
        f"now{text}" if re.fullmatch(rf"-{_DURATION.pattern}", text) else text for text in arguments
    ]
