"""Watches what the core does inside and no frame tells: what it drops, gives up and takes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.simulation import events as ev
from tests.simulation.observer import Observer

from bellwire.bus.v1.subscriber_pb2 import (
    DISPOSITION_ACCEPT,
    DISPOSITION_REJECT,
    DISPOSITION_RELEASE,
    Settlement,
)
from bellwire.coordinator.core.cursor import Cursor
from bellwire.coordinator.core.dead_letters import DeadLetters
from bellwire.coordinator.core.flight import Handout
from bellwire.coordinator.core.freshness import Conflation
from bellwire.coordinator.core.member import Member
from bellwire.coordinator.core.part import Part
from bellwire.coordinator.core.subscription import Subscription
from bellwire.coordinator.log.memory import MemoryLog
from bellwire.coordinator.log.protocol import Entry, Span
from bellwire.coordinator.log.records import CursorRecord


@contextlib.contextmanager
def watching(observer: Observer, judge: Callable[[Cursor, int, str], None]) -> Iterator[None]:
    """Tell the observer while the block runs; every call goes through to the core.

    Args:
        observer: Who is told.
        judge: Called with every message that is dropped, and why.
    """
    undo: list[tuple[type, str, Any]] = []

    def wrap(cls: type, name: str, around: Callable[..., Any]) -> None:
        original = getattr(cls, name)
        undo.append((cls, name, original))

        def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
            return around(original, self, *args, **kwargs)

        setattr(cls, name, watched)

    probes = _Probes(observer, judge)
    wrap(MemoryLog, "append", probes.append)
    wrap(Cursor, "_drop", probes.drop)
    wrap(Cursor, "_step_over_stale", probes.step_over_stale)
    wrap(Cursor, "_lose_head", probes.lose_head)
    wrap(Cursor, "on_evict", probes.on_evict)
    wrap(Cursor, "restore", probes.restore)
    wrap(Cursor, "seek", probes.seek)
    wrap(Subscription, "settle", probes.settle)
    wrap(Member, "settle", probes.settled)
    wrap(Member, "expire", probes.expire)
    wrap(Member, "give_up", probes.leave)
    wrap(DeadLetters, "bury", probes.bury)
    try:
        yield
    finally:
        for cls, name, original in reversed(undo):
            setattr(cls, name, original)


class _Probes:
    def __init__(self, observer: Observer, judge: Callable[[Cursor, int, str], None]) -> None:
        self._observer = observer
        self._judge = judge
        self._disposition = ""

    def append(self, original: Any, log: MemoryLog, entry: Entry) -> None:
        original(log, entry)
        self._observer.appended(log.log_id, entry)

    def drop(self, original: Any, cursor: Cursor, part: Part, count: int, reason: str) -> None:
        first = part.first_offset
        self._dropped(cursor, first, first + count, reason or "not meant for it")
        original(cursor, part, count, reason)

    def step_over_stale(self, original: Any, cursor: Cursor, conflation: Conflation) -> None:
        first = cursor.next_offset
        original(cursor, conflation)
        self._dropped(cursor, first, cursor.next_offset, "conflated")

    def lose_head(self, original: Any, cursor: Cursor, through: int) -> None:
        first = cursor.redeliveries[0].first
        original(cursor, through)
        self._dropped(cursor, first, through, "overflow")

    def on_evict(self, original: Any, cursor: Cursor, span: Span) -> None:
        first = max(cursor.next_offset, span.base_offset)
        original(cursor, span)
        self._dropped(cursor, first, span.next_offset, "overflow")

    def restore(self, original: Any, cursor: Cursor, record: CursorRecord) -> None:
        original(cursor, record)
        self._dropped(cursor, record.next_offset, cursor.next_offset, "overflow")

    def seek(self, original: Any, cursor: Cursor, offset: int) -> None:
        original(cursor, offset)
        self._observer.sought(cursor.subscription, cursor.partition.log.log_id, offset)

    def settle(
        self,
        original: Any,
        subscription: Subscription,
        member: Member,
        item: Settlement,
        now: float,
    ) -> None:
        self._disposition = _DISPOSITIONS.get(item.disposition, "")
        original(subscription, member, item, now)

    def settled(self, original: Any, member: Member, first_tag: int, last_tag: int) -> Any:
        ended = original(member, first_tag, last_tag)
        for handout, first, last in ended:
            self._settled(handout, first, last, self._disposition, member.lease_id)
        return ended

    def expire(self, original: Any, member: Member, now: float, *, keep_order: bool) -> Any:
        ended = original(member, now, keep_order=keep_order)
        for handout, first, last, _ in ended:
            self._settled(handout, first, last, ev.EXPIRED, member.lease_id)
        return ended

    def leave(self, original: Any, member: Member) -> Any:
        self._observer.note(f"left {member.lease_id[:8]}")
        self._observer.wire.add(ev.Left(member.lease_id))
        return original(member)

    def bury(
        self,
        original: Any,
        letters: DeadLetters,
        handout: Handout,
        first: int,
        last: int,
        *rest: Any,
    ) -> None:
        self._settled(handout, first, last, ev.GIVEN_UP, "")
        original(letters, handout, first, last, *rest)

    def _settled(self, handout: Handout, first: int, last: int, how: str, member: str) -> None:
        cursor, base = handout.cursor, handout.entry.base_offset
        log = self._observer.log(cursor.partition.log.log_id)
        name = self._observer.label(cursor.subscription)
        self._observer.note(f"{how} {name} {log}@{base + first}..{base + last - 1}")
        if not handout.is_current:
            how = ev.VOID
        for offset in range(base + first, base + last):
            event = ev.Settled(name, member, log, offset, how)
            self._observer.wire.add(event)
            if how == ev.GIVEN_UP:
                self._observer.users.add(event)

    def _dropped(self, cursor: Cursor, first: int, last: int, reason: str) -> None:
        if first >= last:
            return
        log = self._observer.log(cursor.partition.log.log_id)
        self._observer.note(f"dropped {log}@{first}..{last - 1} {reason}")
        for offset in range(first, last):
            self._judge(cursor, offset, reason)
            for history, name in self._observer.readers(cursor.subscription):
                history.add(ev.Dropped(name, log, offset, reason))


_DISPOSITIONS: Final = {
    DISPOSITION_ACCEPT: ev.ACCEPTED,
    DISPOSITION_RELEASE: ev.RELEASED,
    DISPOSITION_REJECT: ev.REJECTED,
}
