"""How much of what is next to be delivered a member's window takes."""

from __future__ import annotations

from itertools import islice
from typing import Final

from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.part import Part

SPLIT_AFTER_SECONDS: Final = 0.2  # TCP's override timer against silly windows (RFC 1122 §4.2.3.4).
# Members that were lost while they held a message, before it is handed out alone: twice may be chance.
SUSPECT_FROM: Final = 2


def fit(
    member: Member, cursor: Cursor, part: Part, now: float, messages_max: int
) -> Handout | None:
    """Hand out as much of `part` as the window takes.

    A block that does not fit is split, but not at once while at least half the window is taken:
    small pieces cost an opened and re-encoded block each (silly windows, RFC 1122 §4.2.3.4).
    """
    window = member.window
    suspect = part.run is not None and part.run.suspect >= SUSPECT_FROM
    if suspect and member.messages_in_flight:
        return None  # It goes alone; settling the others wakes us.
    count = 1 if suspect else min(part.last - part.first, messages_max)
    whole = count == part.entry.count
    size = part.entry.uncompressed_bytes if whole else _size_of(part, count)
    if not window.fits(count, size):
        if not window.messages_free or not window.bytes_free:
            return None
        roomy = window.messages_free * 2 >= window.messages_max
        if member.stalled_since is None and not roomy:
            member.stalled_since = now
        split_at = (member.stalled_since or now) + SPLIT_AFTER_SECONDS
        if not roomy and now < split_at:
            member.retry_at = split_at
            return None
        count, size = _largest_fit(part, min(count, window.messages_free), window.bytes_free)
        if not count:
            return None
    member.stalled_since = None
    member.isolated = suspect
    cursor.partition.topic.stats.delivered_messages += count
    return member.hand_out(cursor, part, count, size, now)


def _size_of(part: Part, count: int) -> int:
    messages = islice(part.entry.messages(), part.first, part.first + count)
    return sum(message.ByteSize() for message in messages)


def _largest_fit(part: Part, count: int, size_bytes_max: int) -> tuple[int, int]:
    size = taken = 0
    for message in islice(part.entry.messages(), part.first, part.first + count):
        size_next = size + message.ByteSize()
        if size_next > size_bytes_max:
            break
        size, taken = size_next, taken + 1
    return taken, size
