"""Which member of a subscription gets which of its partitions."""

from __future__ import annotations

from collections.abc import Sequence

from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.member import Member


def assign(
    cursors: Sequence[Cursor], members: Sequence[Member]
) -> list[tuple[Cursor, Member | None]]:
    """Give each partition to one member, evenly, moving as few as possible; those that stay come first.

    Each member keeps up to its even share; `extra` of them may keep one more, where the
    partitions do not divide.
    """
    counts = dict.fromkeys(members, 0)
    share, extra = divmod(len(cursors), len(counts)) if counts else (0, 0)
    given: list[tuple[Cursor, Member | None]] = []
    homeless: list[Cursor] = []
    for cursor in cursors:
        owner = cursor.successor or cursor.holder
        if owner is None or owner not in counts or counts[owner] >= share + (extra > 0):
            homeless.append(cursor)
            continue
        extra -= counts[owner] == share
        counts[owner] += 1
        given.append((cursor, owner))
    for cursor in homeless:
        taker = min(counts, key=counts.__getitem__, default=None)
        if taker is not None:
            counts[taker] += 1
        given.append((cursor, taker))
    return given
