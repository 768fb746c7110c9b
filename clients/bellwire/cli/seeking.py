"""Move a cursor and print where it is now."""

from __future__ import annotations

from collections.abc import Sequence

from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.cli.output import Style, console, print_json
from bellwire.cli.positions import place_text
from bellwire.cli.session import Target, connected

__all__ = ["seek_to"]


async def seek_to(
    target: Target,
    subscription: str,
    position: StartPosition,
    topics: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Move the cursor of a subscription and print the next offset of each partition.

    Raises:
        UnknownSubscriptionError: There is none of that name.
        OffsetOutOfRangeError: The log does not hold that offset; nothing moved.
    """
    async with connected(target) as client:
        moved = await client.admin.seek(subscription, position, topics=topics)
    places = sorted(moved, key=lambda place: (place.topic, place.partition))
    if as_json:
        rows = [
            {"topic": place.topic, "partition": place.partition, "offset": place.offset}
            for place in places
        ]
        print_json({"subscription": subscription, "positions": rows})
        return
    out = console()
    if not places:
        out.print(f"{subscription} reads no topic that exists", style=Style.FAINT, markup=False)
        return
    out.print(f"{subscription} goes on at", markup=False)
    for place in places:
        text = place_text(place.topic, place.partition, place.offset)
        out.print(f"    {text}", style=Style.NAME, markup=False, soft_wrap=True)
