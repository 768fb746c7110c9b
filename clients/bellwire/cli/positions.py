"""Positions in the log as people write them: earliest, latest, a time, or topic/partition@offset."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer.core

from bellwire.cli.faults import UsageFault
from bellwire.cli.moments import MOMENT_HELP, parse_moment, spell_out_relative

if TYPE_CHECKING:
    from bellwire.bus.v1.message_pb2 import Position
    from bellwire.bus.v1.subscriber_pb2 import StartPosition

__all__ = ["POSITION_HELP", "RelativeTimesCommand", "parse_positions", "place_text"]

POSITION_HELP: Final = "earliest, latest, a time, or TOPIC/PARTITION@OFFSET"
OFFSET_MAX: Final = (1 << 63) - 1
PARTITION_MAX: Final = 1_023
# What `tail` prints, orders.paper[0]@17, is taken too.
_PLACE: Final = re.compile(r"([a-zA-Z0-9._-]{1,249})(?:/(\d{1,4})|\[(\d{1,4})\])@(\d{1,19})")


class RelativeTimesCommand(typer.core.TyperCommand):
    """A verb that takes "-15m" as an argument: others see options -1, -5 and -m in it."""

    def parse_args(  # type: ignore[override]  # Typer gives its own Context, and types its private one.
        self, ctx: typer.Context, args: list[str]
    ) -> list[str]:
        """Parse the arguments with relative times spelt out."""
        return super().parse_args(ctx, spell_out_relative(args))


def parse_positions(texts: Sequence[str], now_ns: int) -> StartPosition:
    """Return where to begin: one word or time, or any number of places.

    Raises:
        UsageFault: A text is no position, or several are given that are not all places.
    """
    from bellwire.client.start import EARLIEST, LATEST, at_positions, at_time

    places = [_place(text) for text in texts]
    known = [place for place in places if place is not None]
    if known and len(known) == len(places):
        return at_positions(known)
    if len(texts) != 1:
        raise UsageFault(
            f"{' '.join(texts)!r} mixes positions; give one of earliest, latest and a time, "
            "or only places TOPIC/PARTITION@OFFSET"
        )
    if texts[0] in ("earliest", "latest"):
        return EARLIEST if texts[0] == "earliest" else LATEST
    if "@" in texts[0]:
        raise UsageFault(
            f"{texts[0]!r} is no place; expected TOPIC/PARTITION@OFFSET, for example orders.paper/0@17"
        )
    return at_time(_moment(texts[0], now_ns))


def _moment(text: str, now_ns: int) -> int:
    try:
        return parse_moment(text, now_ns, "position")
    except UsageFault:
        raise UsageFault(
            f"{text!r} is no position; expected {POSITION_HELP} (time: {MOMENT_HELP})"
        ) from None


def _place(text: str) -> Position | None:
    from bellwire.bus.v1.message_pb2 import Position

    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    topic, slashed, bracketed, offset = found.groups()
    partition = int(slashed or bracketed)
    if partition > PARTITION_MAX or int(offset) > OFFSET_MAX:
        return None
    return Position(topic=topic, partition=partition, offset=int(offset))


def place_text(topic: str, partition: int, offset: int) -> str:
    """Return a place the way `seek` and `replay` take it."""
    return f"{topic}/{partition}@{offset}"
