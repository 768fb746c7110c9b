"""Receive a stretch of the log again and print it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.following import LinePrinter, print_record
from bellwire.cli.output import Style, error_console
from bellwire.cli.session import Target, connected

if TYPE_CHECKING:
    from bellwire.bus.v1.subscriber_pb2 import StartPosition

__all__ = ["Stretch", "parse_speed", "replay_stretch"]

SPEED_MAX: Final = 1_000_000.0  # The contract's bound.
AS_FAST_AS_POSSIBLE: Final = 0.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """What to replay, and how fast."""

    topics: tuple[str, ...]
    start: StartPosition
    until_ns: int  # 0 = the end of the log as it is when asked.
    speed: float  # 1 = original pace, 0 = as fast as possible.
    count: int | None


def parse_speed(text: str) -> float:
    """Return the factor: "1", "10", "10x", "0.5"; "max" is 0, as fast as possible.

    Raises:
        UsageFault: It is none of these.
    """
    if text == "max":
        return AS_FAST_AS_POSSIBLE
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0 < speed <= SPEED_MAX:
        raise UsageFault(
            f"--speed is {text!r}; expected 1 for the original pace, a factor up to "
            f"{SPEED_MAX:,.0f}, or max"
        )
    return speed


async def replay_stretch(target: Target, stretch: Stretch, *, as_json: bool) -> None:
    """Print the messages of a stretch, each marked as replayed."""
    show = print_record if as_json else LinePrinter()
    received = 0
    async with connected(target) as client:
        replay = client.replay(
            *stretch.topics,
            start=stretch.start,
            until_time_unix_nano=stretch.until_ns,
            speed=stretch.speed,
        )
        async with replay:
            async for message in replay:
                show(message)
                received += 1
                if received == stretch.count:
                    return
    if not received and not as_json:
        error_console().print("nothing to replay in that stretch", style=Style.FAINT)
