"""What a level must keep to, as `--limits` says it: p99=20ms,loss=0,rss=300MB."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.loadtest.result import LevelResult

__all__ = ["LIMITS_DEFAULT", "Limit", "missed_limits", "parse_limits", "parse_size"]

LIMITS_DEFAULT: Final = "tps=95%,loss=0,rss=300MB"
"""Nearly all that was offered, nothing lost, and the coordinator's size of the design."""

_LATENCIES: Final = ("p50", "p95", "p99", "p99.9", "max")
_COUNTS: Final = ("loss", "duplicates", "out-of-order")
NAMES: Final = (*_LATENCIES, *_COUNTS, "rss", "tps")

_MICROSECONDS: Final[Mapping[str, float]] = {"us": 1, "µs": 1, "ms": 1e3, "s": 1e6}
_BYTES: Final[Mapping[str, float]] = {
    "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Zµ%]*)")


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound: at most so much, but of `tps` at least."""

    name: str
    value: float
    """Microseconds, messages, bytes; a share 0..1 of what was offered where `is_share`."""
    is_share: bool
    text: str
    """As it was written."""

    def miss(self, result: LevelResult) -> str | None:
        """Return what was found where the limit is missed, for people; None where it is kept."""
        found, shown = self._found(result)
        if self.name == "tps":
            kept = found >= self.value * (result.offered_tps if self.is_share else 1)
            return None if kept else f"tps {shown}, at least {self.text} asked"
        kept = found <= self.value * (result.scheduled if self.is_share else 1)
        return None if kept else f"{self.name} {shown}, at most {self.text} allowed"

    def _found(self, result: LevelResult) -> tuple[float, str]:
        if self.name == "tps":
            return result.achieved_tps, f"{result.achieved_tps:,.0f}"
        if self.name == "rss":
            return (
                result.coordinator_rss_bytes_max,
                f"{result.coordinator_rss_bytes_max / 1e6:,.0f} MB",
            )
        if self.name in _COUNTS:
            count = {
                "loss": result.lost,
                "duplicates": result.duplicates,
                "out-of-order": result.out_of_order,
            }[self.name]
            return count, f"{count:,}"
        microseconds = result.latency_us(self.name)
        if microseconds is None:
            return float("inf"), "not measured: nothing came that was due after the warm-up"
        return microseconds, f"{microseconds / 1e3:,.3g} ms"


def parse_limits(text: str | None) -> tuple[Limit, ...]:
    """Return the default limits, with those of the text in their place or added.

    Raises:
        UsageFault: A limit has no name of ours, or a value that does not fit it.
    """
    limits = {limit.name: limit for limit in map(_parse, LIMITS_DEFAULT.split(","))}
    for part in (text or "").split(","):
        if part.strip():
            limit = _parse(part.strip())
            limits[limit.name] = limit
    return tuple(limits.values())


def parse_size(text: str, what: str) -> int:
    """Return bytes: "200", "1kB", "64KiB", "300MB".

    Raises:
        UsageFault: The text is no size.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None or (found[2] and found[2] not in _BYTES):
        raise UsageFault(f"{what} is {text!r}; expected bytes, for example 200, 4KiB or 300MB")
    return round(float(found[1]) * _BYTES.get(found[2], 1))


def missed_limits(limits: Sequence[Limit], result: LevelResult) -> tuple[str, ...]:
    """Return what was missed, for people."""
    return tuple(miss for limit in limits if (miss := limit.miss(result)) is not None)


def _parse(part: str) -> Limit:
    name, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals or name not in NAMES:
        raise UsageFault(f"--limits has {part!r}; expected NAME=VALUE, names: {', '.join(NAMES)}")
    found = _QUANTITY.fullmatch(value)
    number, unit = (float(found[1]), found[2]) if found else (0.0, "?")
    if name in _LATENCIES and unit in _MICROSECONDS:
        return Limit(name, number * _MICROSECONDS[unit], False, value)
    if name in (*_COUNTS, "tps") and unit in ("", "%"):
        return Limit(name, number / 100 if unit else number, bool(unit), value)
    if name == "rss" and unit in _BYTES:
        return Limit(name, number * _BYTES[unit], False, value)
    expected = {"rss": "for example 300MB", "tps": "messages per second, or 95%"}
    hint = "for example 500us, 20ms or 1s" if name in _LATENCIES else "a count, or for example 0.1%"
    raise UsageFault(f"--limits has {part!r}; expected {expected.get(name, hint)}")
