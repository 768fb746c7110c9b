"""The last messages of keys, printed as `tail` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import CommandError
from bellwire.cli.following import LinePrinter, print_record
from bellwire.cli.session import Target, connected, run_async

if TYPE_CHECKING:
    from bellwire.bus.v1.message_pb2 import Message
    from bellwire.client import LatestMessage

__all__ = ["print_latest"]

KEYS_NAMED_MAX: Final = 10  # In an error.


@dataclass(frozen=True, slots=True)
class _Shown:
    """A last message as `tail` shows a delivery."""

    topic: str
    partition: int
    offset: int
    message: Message
    attempt: int = 0
    replayed: bool = False


def print_latest(
    target: Target, topic: str, keys: Sequence[str], count: int, *, as_json: bool
) -> None:
    """Print the last message of each key, in the order of the keys, or of those published last.

    Raises:
        CommandError: Some keys have none; the others were printed.
    """
    found = run_async(lambda: _ask(target, topic, keys, count))
    show = print_record if as_json else LinePrinter()
    for key in dict.fromkeys(keys) if keys else found:
        item = found.get(key)
        if item is not None:
            show(_Shown(topic, item.partition, item.offset, item.message))
    missing = [key for key in dict.fromkeys(keys) if key not in found]
    if missing:
        named = ", ".join(repr(key) for key in missing[:KEYS_NAMED_MAX])
        rest = len(missing) - KEYS_NAMED_MAX
        more = f" and {rest} more" if rest > 0 else ""
        raise CommandError(
            f"{topic} has no last message of {named}{more}: none was published, the last one has expired, "
            "or it was too long ago (docs/caching.md)"
        )


async def _ask(
    target: Target, topic: str, keys: Sequence[str], count: int
) -> dict[str, LatestMessage]:
    async with connected(target) as client:
        if keys:
            return await client.latest(topic, *keys)
        return await client.latest_of_recent(topic, count)
