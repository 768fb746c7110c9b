"""What a subscription must know to go on after a lost stream without loss and without repeats."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import START_POLICY_POSITIONS, StartPosition

Key = tuple[str, int]  # topic, partition
RETURNED_MAX: Final = 10_000  # Released offsets an ephemeral subscription remembers.


class _Logs:
    """Which log the offsets of each partition belong to."""

    def __init__(self) -> None:
        self._ids: dict[Key, int] = {}

    def known(self, key: Key) -> int:
        """Return the id of a partition's log; 0 = none was told."""
        return self._ids.get(key, 0)

    def changed(self, key: Key, log_id: int) -> bool:
        """Note the id; tell whether it was another one before."""
        if not log_id:
            return False
        before = self._ids.get(key, log_id)
        self._ids[key] = log_id
        return before != log_id


class EphemeralResume:
    """Positions of a subscription the coordinator forgets with its stream.

    The next stream begins behind the last message received, or at the oldest message the user gave
    back and has not got again; what lies between and was received before is skipped.
    """

    def __init__(self) -> None:
        self._next: dict[Key, int] = {}
        self._returned: dict[Key, set[int]] = {}
        self._logs = _Logs()

    def started(self, positions: Iterable[Position]) -> int:
        """Learn where the coordinator begins; in another log, everything is new.

        Returns:
            How many messages this missed: their log did not keep them until now.
        """
        missed = 0
        for position in positions:
            key = (position.topic, position.partition)
            asked = min(self._returned.get(key) or (self._next.get(key, 0),))
            other = self._logs.changed(key, position.log_id)
            if key not in self._next or other or position.offset < asked:
                self._next[key] = position.offset
                self._returned.pop(key, None)
            else:
                missed += position.offset - asked
        return missed

    def start_position(self) -> StartPosition | None:
        """Return where to go on; None when nothing is known yet."""
        if not self._next:
            return None
        return StartPosition(
            policy=START_POLICY_POSITIONS,
            positions=[
                Position(
                    topic=key[0],
                    partition=key[1],
                    offset=min(self._returned.get(key) or (following,)),
                    log_id=self._logs.known(key),
                )
                for key, following in self._next.items()
            ],
        )

    def go_on_after(self, other: EphemeralResume, belongs: Callable[[str], bool]) -> None:
        """Go on where another one ended, with those of its topics that belong here; it knows better than this."""
        for key, following in other._next.items():
            if not belongs(key[0]):
                continue
            self._next[key] = following
            self._logs.changed(key, other._logs.known(key))
            self._returned.pop(key, None)
            if returned := other._returned.get(key):
                self._returned[key] = set(returned)

    def advance(self, positions: Iterable[Position]) -> None:
        """Learn how far the coordinator has come, without deliveries that say so."""
        for position in positions:
            key = (position.topic, position.partition)
            if not self._logs.changed(key, position.log_id):
                self._next[key] = max(self._next.get(key, 0), position.offset)

    def on_received(self, key: Key, first: int, count: int, attempt: int, log_id: int = 0) -> int:
        """Note a delivery; return the bits of its messages to be skipped."""
        if self._logs.changed(key, log_id):
            self._next[key] = first
            self._returned.pop(key, None)
        following = self._next.get(key, 0)
        skipped = 0
        if attempt == 0 and first < following:
            returned = self._returned.get(key, set())
            for index in range(min(count, following - first)):
                if first + index not in returned:
                    skipped |= 1 << index
        self._next[key] = max(following, first + count)
        if key in self._returned:
            self._returned[key].difference_update(range(first, first + count))
            if not self._returned[key]:
                del self._returned[key]
        return skipped

    def on_released(self, key: Key, first: int, last: int) -> None:
        """Note what the user gave back."""
        returned = self._returned.setdefault(key, set())
        if len(returned) < RETURNED_MAX:
            returned.update(range(first, last + 1))

    def on_brought(self, key: Key, first: int, last: int) -> None:
        """Note what was given back and needs no delivery any more: it comes again from our side."""
        returned = self._returned.get(key, set())
        returned.difference_update(range(first, last + 1))
        if not returned:
            self._returned.pop(key, None)

    def on_accepted(self, key: Key, first: int, last: int, log_id: int = 0) -> None:
        """Nothing to note: everything received counts as done."""

    def skipped_now(self, key: Key, first: int, count: int, attempt: int) -> int:
        """Return the bits of messages to be skipped though they were due when received."""
        return 0


class NamedResume:
    """Acceptances of a subscription whose cursor the coordinator keeps.

    The coordinator delivers again whatever it does not know to be settled. What the user had
    accepted, in a frame that was lost or after the stream was, is recognised by its offset and
    accepted again instead of handed over. At most a window of messages can be concerned.
    """

    def __init__(self, window_messages: int) -> None:
        self._window_messages = window_messages
        self._accepted: deque[tuple[Key, int, int]] = deque()
        self._accepted_messages = 0
        self._has_skipped = False
        self._next: dict[Key, int] = {}
        self._logs = _Logs()

    def started(self, positions: Iterable[Position]) -> int:
        """Forget the partitions whose log is another one: its offsets begin again.

        Returns:
            0: the coordinator counts what its cursor misses.
        """
        found = {(p.topic, p.partition): p for p in positions}
        other = {key for key, p in found.items() if self._logs.changed(key, p.log_id)}
        self._forget(
            other
            | {
                key
                for key, following in self._next.items()
                if key not in found or found[key].offset < following
            }
        )
        return 0

    def _forget(self, reset: set[Key]) -> None:
        self._accepted = deque(item for item in self._accepted if item[0] not in reset)
        self._accepted_messages = sum(last - first + 1 for _, first, last in self._accepted)
        for key in reset:
            self._next.pop(key, None)

    def _forget_range(self, key: Key, first: int, last: int) -> None:
        accepted, self._accepted = self._accepted, deque()
        for held, low, high in accepted:
            if held != key or last < low or high < first:
                self._accepted.append((held, low, high))
                continue
            self._accepted_messages -= min(high, last) - max(low, first) + 1
            if low < first:
                self._accepted.append((held, low, first - 1))
            if last < high:
                self._accepted.append((held, last + 1, high))

    def advance(self, positions: Iterable[Position]) -> None:
        """Nothing to note: the coordinator keeps the cursor."""

    def start_position(self) -> StartPosition | None:
        """The coordinator knows."""
        return None

    def on_received(self, key: Key, first: int, count: int, attempt: int, log_id: int = 0) -> int:
        """Note how far the log goes; what was accepted and comes as new was sought again."""
        if self._logs.changed(key, log_id):
            self._forget({key})
        elif attempt == 0 and first < self._next.get(key, 0):
            self._forget_range(key, first, first + count - 1)
        self._next[key] = max(self._next.get(key, 0), first + count)
        return 0

    def on_released(self, key: Key, first: int, last: int) -> None:
        """Nothing to note: the coordinator delivers it again."""

    def on_brought(self, key: Key, first: int, last: int) -> None:
        """Nothing to note: nothing of a named subscription comes again from our side."""

    def on_accepted(self, key: Key, first: int, last: int, log_id: int = 0) -> None:
        """Note what the user is done with.

        What is skipped is accepted again; noting it twice would push out what is still needed. What was held
        from a log that is gone says nothing about the messages that have its offsets now.
        """
        if log_id and log_id != self._logs.known(key):
            return
        if self._has_skipped and self._holds(key, first, last):
            return
        accepted = self._accepted
        if accepted and accepted[-1][0] == key and accepted[-1][2] + 1 == first:
            accepted[-1] = (key, accepted[-1][1], last)
        else:
            accepted.append((key, first, last))
        self._accepted_messages += last - first + 1
        while self._accepted_messages > self._window_messages:
            self._drop_oldest(self._accepted_messages - self._window_messages)

    def skipped_now(self, key: Key, first: int, count: int, attempt: int) -> int:
        """Return the bits of messages the user has accepted before."""
        if attempt == 0:
            return 0
        skipped = 0
        for held, low, high in self._accepted:
            start, stop = max(low, first) - first, min(high, first + count - 1) - first
            if held == key and start <= stop:
                skipped |= ((1 << (stop - start + 1)) - 1) << start
        self._has_skipped |= bool(skipped)
        return skipped

    def _holds(self, key: Key, first: int, last: int) -> bool:
        """Tell whether all of a range is noted, be it in pieces."""
        missing = last - first + 1
        for held, low, high in self._accepted:
            if held == key:
                missing -= max(0, min(high, last) - max(low, first) + 1)
        return missing <= 0

    def _drop_oldest(self, excess: int) -> None:
        key, first, last = self._accepted.popleft()
        length = last - first + 1
        if length > excess:
            self._accepted.appendleft((key, first + excess, last))
            length = excess
        self._accepted_messages -= length


Resume = EphemeralResume | NamedResume
