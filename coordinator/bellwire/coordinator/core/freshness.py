"""Freshness: which messages at the head of a cursor may go, must wait, or need not be delivered any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.core.part import Part
from bellwire.coordinator.log.protocol import PartitionLog

SCAN_ENTRIES_MAX: Final = 16  # Opened in one go, about 0.3 ms; a longer backlog takes several.

OTHERS_MAX: Final = 10_000  # Remembered; behind them messages are looked at one by one.
KEYS_PER_MESSAGE: Final = 10  # A key is looked at in a tenth of the time of a message.
KEYS_MIN: Final = 1_000  # Keys from which on those no longer needed are looked for.


@dataclass(frozen=True, slots=True)
class Head:
    """What to do with the first messages of a part.

    Attributes:
        drop: Leading messages to drop, for `reason`.
        take: Messages that may go now; only when nothing is dropped.
        due_ns: When nothing is dropped or taken: wall-clock time before which the first must not go.
    """

    drop: int = 0
    reason: str = ""
    take: int = 0
    due_ns: int = 0


class Conflation:
    """Knows the latest offset of each key that came since the cursor began (policy CONFLATE).

    A message with a later one of its key is stale, be that one waiting, in flight or delivered. Messages
    without a key are not conflated.
    """

    def __init__(self, from_offset: int) -> None:
        self._latest: dict[str, int] = {}  # In the order of the offsets.
        self._others: deque[int] = deque()  # Messages that are not conflated, in order.
        self._others_known_to: int | None = None  # None = all that was looked at.
        self._scanned = from_offset
        self._prune_above = KEYS_MIN

    def catch_up(
        self, log: PartitionLog, subscription: str, waits_from: Callable[[], int]
    ) -> bool | None:
        """Look at some more of what waits; True when all is known, None when entries must be loaded first.

        Args:
            log: Where it waits.
            subscription: Whose messages count.
            waits_from: Tells the lowest offset that may still be delivered; of what is below, nothing need be known.
        """
        self._scanned = max(self._scanned, log.low_offset)
        for _ in range(SCAN_ENTRIES_MAX):
            if self._scanned >= log.high_watermark:
                break
            entry = log.read(self._scanned)
            if entry is None:
                return None
            only = entry.batch.header.only_subscription
            is_ours = not only or only == subscription
            for offset, message in enumerate(entry.messages(), entry.base_offset):
                if is_ours and message.key:
                    self._latest.pop(message.key, None)
                    self._latest[message.key] = offset
                else:
                    self._note_other(offset)
            self._scanned = entry.next_offset
            if len(self._latest) > self._prune_above:
                self._prune(waits_from())
        return self._scanned >= log.high_watermark

    def is_superseded(self, message: Message, offset: int) -> bool:
        """Tell whether a later message has its key."""
        return bool(message.key) and self._latest.get(message.key, -1) > offset

    def stale_until(self, offset: int) -> int:
        """Return the first offset from `offset` on that may be of a message with no later one of its key.

        A long backlog of few keys is stepped over by that at once, not message by message.
        """
        others = self._others
        while others and others[0] < offset:
            others.popleft()
        if offset >= self._scanned:
            self._others_known_to = None
            return offset
        if len(self._latest) > KEYS_PER_MESSAGE * (self._scanned - offset):
            return offset  # To find it would take longer than to look at the messages.
        latest = next((at for at in self._latest.values() if at >= offset), self._scanned)
        known_to = self._scanned if self._others_known_to is None else self._others_known_to
        return max(offset, min(latest, others[0] if others else latest, known_to))

    def _note_other(self, offset: int) -> None:
        if self._others_known_to is not None:
            return
        if len(self._others) < OTHERS_MAX:
            self._others.append(offset)
        else:
            self._others_known_to = offset

    def lost(self, first: int, last: int) -> None:
        """Forget messages `first..last` (offsets, `last` exclusive): evicted before they were delivered."""
        self._latest = {k: at for k, at in self._latest.items() if not first <= at < last}

    def _prune(self, waits_from: int) -> None:
        """Forget keys that nothing can be older than; seldom, for it looks at all."""
        self._latest = {key: at for key, at in self._latest.items() if at >= waits_from}
        self._prune_above = max(KEYS_MIN, 2 * len(self._latest))


def look_at(part: Part, now_ns: int, subscription: str, conflation: Conflation | None) -> Head:
    """Decide about the head of a part; the batch's header spares opening it wherever it can.

    Args:
        part: What would be delivered next.
        now_ns: Wall clock, nanoseconds since the Unix epoch; 0 = nothing expires or waits.
        subscription: Name of who would get it.
        conflation: With policy CONFLATE, what is known of the keys that wait.
    """
    count = part.last - part.first
    entry = part.entry
    if conflation is None:
        header = entry.batch.header
        if header.only_subscription and header.only_subscription != subscription:
            return Head(drop=count)
        waits = now_ns and header.max_not_before_time_unix_nano > now_ns
        expiry = header.min_expire_time_unix_nano
        if not waits and not (expiry and 0 < expiry <= now_ns):
            return Head(take=count)
        if not waits and 0 < header.max_expire_time_unix_nano <= now_ns:
            return Head(drop=count, reason="expired")
    return _look_inside(part, now_ns, subscription, conflation)


def _look_inside(part: Part, now_ns: int, subscription: str, conflation: Conflation | None) -> Head:
    only = part.entry.batch.header.only_subscription
    if only and only != subscription:
        return Head(drop=part.last - part.first)
    first = Head()
    for index, message in enumerate(part.messages()):
        fate = _fate(message, part.first_offset + index, now_ns, conflation)
        if index == 0:
            first = fate
        elif (fate.reason, bool(fate.take)) != (first.reason, bool(first.take)):
            return _times(first, index)
    return _times(first, part.last - part.first)


def _fate(message: Message, offset: int, now_ns: int, conflation: Conflation | None) -> Head:
    if conflation is not None and conflation.is_superseded(message, offset):
        return Head(drop=1, reason="conflated")
    if 0 < message.expire_time_unix_nano <= now_ns:
        return Head(drop=1, reason="expired")
    if now_ns and message.not_before_time_unix_nano > now_ns:
        return Head(due_ns=message.not_before_time_unix_nano)
    return Head(take=1)


def _times(head: Head, count: int) -> Head:
    if head.drop:
        return Head(drop=count, reason=head.reason)
    return Head(take=count) if head.take else head
