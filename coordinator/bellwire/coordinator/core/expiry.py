"""Expiry: which messages of a slice are too old to be delivered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile

from bellwire.coordinator.core.cursor import Slice


def leading_expired(part: Slice, now_ns: int) -> tuple[int, int]:
    """Return how many messages at the head of a slice have expired, and how many after them have not.

    The header's smallest and largest expiry decide without opening the block wherever they can.

    Args:
        part: What would be delivered next.
        now_ns: Wall clock, nanoseconds since the Unix epoch; 0 = nothing expires.
    """
    count = part.last - part.first
    header = part.entry.batch.header
    if not header.min_expire_time_unix_nano or now_ns < header.min_expire_time_unix_nano:
        return 0, count
    if header.max_expire_time_unix_nano and header.max_expire_time_unix_nano <= now_ns:
        return count, 0
    dead = list(_dead(part, now_ns))
    expired = sum(1 for _ in takewhile(bool, dead))
    fresh = sum(1 for _ in takewhile(lambda one: not one, dead[expired:]))
    return expired, fresh


def _dead(part: Slice, now_ns: int) -> Iterator[bool]:
    for message in islice(part.entry.messages(), part.first, part.last):
        yield 0 < message.expire_time_unix_nano <= now_ns
