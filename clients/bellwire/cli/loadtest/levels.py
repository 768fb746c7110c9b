"""The levels of load, as `--tps`, `--rate` and `--soak` say them."""

from __future__ import annotations

import math
from typing import Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.moments import parse_duration

__all__ = ["parse_rate", "parse_seconds", "parse_tps"]

TPS_MAX: Final = 10_000_000
LEVELS_MAX: Final = 100
RATE_MAX: Final = 1_000_000.0
SECONDS_MAX: Final = 7 * 86_400.0


def parse_tps(text: str) -> tuple[int, ...]:
    """Return the offered rates in turn: "1000", "1000,5000", "1k,5k,50k".

    Raises:
        UsageFault: One is no rate, or there are too many.
    """
    levels = tuple(_tps(part.strip(), text) for part in text.split(","))
    if len(levels) > LEVELS_MAX:
        raise UsageFault(f"--tps has {len(levels)} levels, the limit is {LEVELS_MAX}")
    return levels


def _tps(part: str, text: str) -> int:
    number, factor = (part[:-1], 1_000) if part.endswith("k") else (part, 1)
    digits = number.replace("_", "")
    rate = int(digits) * factor if digits.isascii() and digits.isdecimal() else 0
    if not 0 < rate <= TPS_MAX:
        raise UsageFault(
            f"--tps is {text!r}; expected messages per second, 1 to {TPS_MAX:,}, several with "
            "commas between: 1000,5000,50k"
        )
    return rate


def parse_rate(text: str) -> float:
    """Return how many times the pace of a recording: "2x", "0.5", "10".

    Raises:
        UsageFault: It is no such factor.
    """
    try:
        rate = float(text.removesuffix("x"))
    except ValueError:
        rate = math.nan
    if not 0 < rate <= RATE_MAX:
        raise UsageFault(
            f"--rate is {text!r}; expected a multiple of the recording's own pace, for example 2x"
        )
    return rate


def parse_seconds(text: str, what: str) -> float:
    """Return a length of load: "30", "90s", "30m".

    Raises:
        UsageFault: It is none, or out of range.
    """
    seconds = parse_duration(text, what)
    if not 0 < seconds <= SECONDS_MAX:
        raise UsageFault(f"{what} is {text!r}; expected more than 0 s and at most 7 d")
    return seconds
