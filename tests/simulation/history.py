"""Checks a history for what must never happen; modelled on the Kafka workload of Jepsen.

Source: jepsen-io/jepsen, `tests/kafka.clj` (lost write, duplicate, inconsistent offsets, order of sends and
polls). What may happen is at-least-once delivery: a message comes again when its acceptance was not durable.

    history = History()
    for event in events:         # see `tests.simulation.events`
        history.add(event)
    violations = history.finish()
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation import events as ev
from tests.simulation.appends import Appends, Place
from tests.simulation.violation import Kind, Violation

__all__ = ["History", "Kind", "Violation"]


@dataclass(slots=True)
class _Position:
    """What one subscription has seen of one log."""

    start: int = 0
    moved: bool = False
    highest: int = -1
    delivered: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)  # Done, given up, dropped or stepped over.
    accepted: set[int] = field(default_factory=set)  # In this life of the coordinator.
    returned: set[int] = field(default_factory=set)  # To be delivered again before anything newer.
    doubtful: set[int] = field(default_factory=set)  # Given up, which may fail: then it comes late.
    buried: set[int] = field(default_factory=set)
    saved: ev.Saved | None = None


@dataclass(slots=True)
class _Subscription:
    topics: tuple[str, ...]
    ordered: bool
    once: bool
    logs: defaultdict[str, _Position] = field(default_factory=lambda: defaultdict(_Position))


@dataclass(slots=True)
class _Member:
    messages_max: int = 0
    bytes_max: int = 0
    in_flight: dict[tuple[str, str, int], int] = field(default_factory=dict)
    size_bytes: int = 0


class History:
    """Takes events in the order they happened and collects violations.

    Args:
        exact: Deliveries and settlements were recorded where the coordinator makes them, so each must
            respect those before it. False = subscribers recorded them: what they see lags behind, a settlement
            may be lost on its way, and two members may hold a message when a connection broke.

    Attributes:
        violations: Found so far.
        counts: Events by name.
    """

    def __init__(self, *, exact: bool = False) -> None:
        self._exact = exact
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self._number = 0
        self._appends = Appends(self.report)
        self._subscriptions: dict[str, _Subscription] = {}
        self._members: defaultdict[str, _Member] = defaultdict(_Member)
        self._takers: dict[type[Any], Callable[[Any], None]] = {
            ev.Published: self._appends.on_published,
            ev.Acknowledged: self._appends.on_acknowledged,
            ev.Appended: self._appends.on_appended,
            ev.Subscribed: self._on_subscribed,
            ev.Started: self._on_started,
            ev.Sought: self._on_sought,
            ev.Unsubscribed: self._on_unsubscribed,
            ev.Granted: self._on_granted,
            ev.Delivered: self._on_delivered,
            ev.Settled: self._on_settled,
            ev.Left: self._on_left,
            ev.Saved: self._on_saved,
            ev.DeadLettered: self._on_dead_lettered,
            ev.Dropped: self._on_dropped,
            ev.Redriven: self._appends.on_redriven,
            ev.Restarted: self._on_restarted,
            ev.Forgotten: self._on_forgotten,
        }

    def add(self, event: ev.Event) -> None:
        """Take the next event."""
        self._number += 1
        self.counts[type(event).__name__] += 1
        self._takers[type(event)](event)

    def report(self, kind: Kind, text: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(kind, text, self._number))

    def finish(self) -> list[Violation]:
        """Check what only the end shows, and return all violations."""
        self._appends.check_order()
        for name, subscription in self._subscriptions.items():
            self._check_unplaced(name, subscription)
            for log, places in self._appends.owed.items():
                self._check_done(name, subscription, log, places)
            for log, position in subscription.logs.items():
                self._check_gaps(name, subscription, log, position)
        return self.violations

    # ------------------------------------------------------------ subscriptions

    def _on_subscribed(self, event: ev.Subscribed) -> None:
        new = _Subscription(event.topics, event.ordered, event.once)
        self._subscriptions.setdefault(event.subscription, new)

    def _position(self, subscription: str, log: str) -> _Position:
        return self._subscriptions[subscription].logs[log]

    def _on_started(self, event: ev.Started) -> None:
        self._position(event.subscription, event.log).start = event.offset

    def _on_sought(self, event: ev.Sought) -> None:
        position = self._position(event.subscription, event.log)
        position.moved = True
        position.highest = event.offset - 1
        position.saved = None
        position.accepted.clear()
        position.returned.clear()
        position.buried.clear()
        position.doubtful.clear()
        for member in self._members.values():
            for key in [k for k in member.in_flight if k[:2] == (event.subscription, event.log)]:
                if key[2] >= 0:  # In flight it stays, but it will not come again: see VOID.
                    member.in_flight[*key[:2], ~key[2]] = member.in_flight.pop(key)
        places = self._appends.owed.get(event.log, {})
        position.finished.update(offset for offset in places if offset < event.offset)

    def _on_unsubscribed(self, event: ev.Unsubscribed) -> None:
        self._subscriptions[event.subscription].topics = ()

    def _on_granted(self, event: ev.Granted) -> None:
        member = self._members[event.member]
        member.messages_max, member.bytes_max = event.messages, event.size_bytes

    def _on_delivered(self, event: ev.Delivered) -> None:
        where = f"{event.id} at {event.log}@{event.offset} to {event.subscription}"
        if event.id not in self._appends.published:
            self.report(Kind.PHANTOM, f"{where} was never published")
        if self._appends.is_missing(event.log, event.offset):
            self.report(Kind.UNCOMMITTED, f"{where} is not in the log")
        self._appends.place(event.id, event.log, event.offset, event.content)
        subscription = self._subscriptions[event.subscription]
        position = subscription.logs[event.log]
        self._check_repeat(event, subscription, position, where)
        if subscription.ordered:
            self._check_order(event, position, where)
        position.delivered.add(event.offset)
        position.returned.discard(event.offset)
        self._take_window(event, where)

    def _check_repeat(
        self, event: ev.Delivered, subscription: _Subscription, position: _Position, where: str
    ) -> None:
        offset = event.offset
        if subscription.once and offset in position.delivered and offset not in position.returned:
            self.report(Kind.DUPLICATE, f"{where} was delivered before and not given back")
        if not self._exact:
            return
        if offset in position.accepted:
            self.report(Kind.DUPLICATE, f"{where} was accepted before")
        if offset in position.buried:
            self.report(Kind.DUPLICATE, f"{where} is in the dead letters")
        saved = position.saved
        if saved is None or offset >= saved.next_offset:
            return
        if not any(first <= offset < last for first, last in saved.open_runs):
            self.report(Kind.DUPLICATE, f"{where} was durably settled before")

    def _check_order(self, event: ev.Delivered, position: _Position, where: str) -> None:
        if position.moved and not self._exact:
            return  # What was on its way when the cursor moved is told from nothing else.
        known = position.delivered, position.finished, position.doubtful
        if not any(event.offset in offsets for offsets in known):
            if event.offset < position.highest:
                self.report(Kind.OUT_OF_ORDER, f"{where} comes first after @{position.highest}")
            position.highest = max(position.highest, event.offset)
        if self._exact and position.returned and (oldest := min(position.returned)) < event.offset:
            self.report(Kind.OUT_OF_ORDER, f"{where} overtakes @{oldest}, which was given back")

    def _take_window(self, event: ev.Delivered, where: str) -> None:
        member = self._members[event.member]
        if not member.messages_max:
            return  # It told nothing.
        member.in_flight[event.subscription, event.log, event.offset] = event.size_bytes
        member.size_bytes += event.size_bytes
        held = len(member.in_flight)
        if held > member.messages_max:
            text = f"{where}: {held} in flight to {event.member}, limit {member.messages_max}"
            self.report(Kind.WINDOW, text)
        if 0 < member.bytes_max < member.size_bytes:
            text = f"{where}: {member.size_bytes} bytes in flight, limit {member.bytes_max}"
            self.report(Kind.WINDOW, text)

    def _on_settled(self, event: ev.Settled) -> None:
        position = self._position(event.subscription, event.log)
        self._free_window(event)
        if event.disposition == ev.VOID:
            return
        if event.disposition == ev.GIVEN_UP:
            position.doubtful.add(event.offset)
        if event.disposition == ev.ACCEPTED:
            position.accepted.add(event.offset)
            position.finished.add(event.offset)
        if event.disposition in (ev.RELEASED, ev.EXPIRED):
            position.returned.add(event.offset)
        else:
            position.returned.discard(event.offset)

    def _free_window(self, event: ev.Settled) -> None:
        member = self._members.get(event.member)
        if member is not None:
            offset = ~event.offset if event.disposition == ev.VOID else event.offset
            key = (event.subscription, event.log, offset)
            member.size_bytes -= member.in_flight.pop(key, 0)

    def _on_left(self, event: ev.Left) -> None:
        member = self._members.pop(event.member, None)
        for name, log, offset in member.in_flight if member is not None else ():
            if offset >= 0:
                self._position(name, log).returned.add(offset)

    def _on_saved(self, event: ev.Saved) -> None:
        self._position(event.subscription, event.log).saved = event

    def _on_dead_lettered(self, event: ev.DeadLettered) -> None:
        position = self._position(event.subscription, event.log)
        if event.offset in position.buried and (self._exact or not position.moved):
            where = f"{event.log}@{event.offset} of {event.subscription}"
            self.report(Kind.DUPLICATE, f"{where} is twice in the dead letters")
        if not position.moved or event.offset in position.doubtful:
            position.buried.add(event.offset)  # Else it was given up before the cursor was moved.
        position.finished.add(event.offset)
        position.returned.discard(event.offset)

    def _on_dropped(self, event: ev.Dropped) -> None:
        position = self._position(event.subscription, event.log)
        position.finished.add(event.offset)
        if self._exact:
            position.returned.discard(event.offset)

    def _on_restarted(self, event: ev.Restarted) -> None:
        self._members.clear()
        if not self._exact:
            return
        for subscription in self._subscriptions.values():
            for position in subscription.logs.values():
                position.accepted.clear()
                position.returned.clear()
                if position.saved is None and position.moved:
                    position.highest = -1  # Moved, and that was not durable: it is where it was.
                elif position.saved is not None:
                    for first, last in position.saved.open_runs:
                        position.returned.update(range(first, last))

    def _on_forgotten(self, event: ev.Forgotten) -> None:
        self._appends.owed.pop(event.log, None)

    # ------------------------------------------------------------ the end

    def _check_done(
        self, name: str, subscription: _Subscription, log: str, places: dict[int, Place]
    ) -> None:
        position = subscription.logs.get(log, _Position())
        for offset, place in places.items():
            if place.topic not in subscription.topics or offset < position.start:
                continue
            if place.only_subscription not in ("", name) or offset in position.finished:
                continue
            fate = "never accepted" if offset in position.delivered else "never delivered"
            self.report(Kind.LOST, f"{place.id} at {log}@{offset} was {fate} by {name}")

    def _check_unplaced(self, name: str, subscription: _Subscription) -> None:
        """Look for acknowledged messages that nobody ever saw in a log."""
        for id_, topic in self._appends.unplaced.items():
            if topic in subscription.topics and not self._appends.where.get(id_):
                self.report(Kind.LOST, f"{id_} was acknowledged and never delivered to {name}")

    def _check_gaps(
        self, name: str, subscription: _Subscription, log: str, position: _Position
    ) -> None:
        """Look for offsets nobody knows anything of, between others that were delivered."""
        if position.moved or not position.delivered or subscription.once:
            return
        seen = position.delivered | position.finished
        for offset in _missing(seen, max(position.start, 0)):
            if (log, offset) not in self._appends.places:
                self.report(Kind.GAP, f"{log}@{offset} is unknown, {name} got what lies behind")


def _missing(seen: set[int], start: int) -> Iterator[int]:
    yield from (offset for offset in range(start, max(seen)) if offset not in seen)
