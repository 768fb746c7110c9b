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
from enum import Enum
from itertools import pairwise
from typing import Any

from tests.simulation import events as ev


class Kind(Enum):
    """What is wrong."""

    LOST = "lost"
    """A message that is owed to a subscription was neither done, nor given up, nor dropped by a policy."""
    UNPERSISTED = "unpersisted"
    """Acknowledged as PERSISTED, and the store does not hold it."""
    UNCOMMITTED = "uncommitted"
    """Delivered, and the log does not hold it (yet)."""
    DUPLICATE = "duplicate"
    """Appended twice, or delivered again although that it is done was known for good."""
    OUT_OF_ORDER = "out of order"
    """Delivered before an older one, or appended before one that was published earlier."""
    PHANTOM = "phantom"
    """Delivered or appended, and nobody published it."""
    MIXED_UP = "mixed up"
    """Two different contents for one place or one id."""
    GAP = "gap"
    """Offsets of a log that nobody ever saw lie between others."""
    WINDOW = "window exceeded"
    """More in flight to a member than it granted."""
    FENCED = "fenced producer wrote"
    """A message of an older epoch was appended behind one of a newer epoch."""
    BROKEN = "broken"
    """The core or the client raised what it should not have; reported by whoever ran it."""
    STUCK = "stuck"
    """Without faults and with time enough something is still not done; reported by whoever waits."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not happen.

    Attributes:
        at: Number of the event that showed it, from 1; after the last one it is the end.
    """

    kind: Kind
    text: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text} (event {self.at})"


@dataclass(slots=True)
class _Place:
    """Owed to every subscription of the topic, or to one alone."""

    id: str
    topic: str
    only_subscription: str = ""


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
        self._published: dict[str, ev.Published] = {}
        self._where: dict[str, dict[str, set[int]]] = {}
        self._unplaced: dict[str, str] = {}
        self._redriven: Counter[str] = Counter()
        self._redriven_places: set[tuple[str, int]] = set()
        self._content: dict[tuple[str, int], tuple[str, str]] = {}
        self._owed: defaultdict[str, dict[int, _Place]] = defaultdict(dict)
        self._appended: defaultdict[str, set[int]] = defaultdict(set)
        self._epochs: dict[tuple[str, str], int] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._members: defaultdict[str, _Member] = defaultdict(_Member)
        self._takers: dict[type[Any], Callable[[Any], None]] = {
            ev.Published: self._on_published,
            ev.Acknowledged: self._on_acknowledged,
            ev.Appended: self._on_appended,
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
            ev.Redriven: self._on_redriven,
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
        self._check_publish_order()
        for name, subscription in self._subscriptions.items():
            self._check_unplaced(name, subscription)
            for log, places in self._owed.items():
                self._check_done(name, subscription, log, places)
            for log, position in subscription.logs.items():
                self._check_gaps(name, subscription, log, position)
        return self.violations

    # ------------------------------------------------------------ publishing

    def _on_published(self, event: ev.Published) -> None:
        known = self._published.setdefault(event.id, event)
        if known is not event and known.content != event.content:
            self.report(Kind.MIXED_UP, f"message {event.id} was published with two contents")

    def _on_acknowledged(self, event: ev.Acknowledged) -> None:
        if event.level != ev.PERSISTED:
            return  # It may be gone with the process.
        if event.offset < 0:
            if self._appended and not self._where.get(event.id):
                self.report(Kind.UNPERSISTED, f"message {event.id} was acknowledged, no log has it")
            self._unplaced[event.id] = event.topic
            return
        appended = self._appended.get(event.log)
        if self._appended and (appended is None or event.offset not in appended):
            text = f"message {event.id} was acknowledged at {event.log}@{event.offset}"
            self.report(Kind.UNPERSISTED, f"{text}, where the store holds nothing")
        self._place(event.id, event.log, event.offset)
        self._owed[event.log].setdefault(event.offset, _Place(event.id, event.topic))

    def _on_appended(self, event: ev.Appended) -> None:
        published = self._published.get(event.id)
        if published is None:
            self.report(Kind.PHANTOM, f"{event.id} at {event.log}@{event.offset} was not published")
        elif event.epoch and not event.only_subscription:
            self._check_epoch(published.producer, event)
        self._place(event.id, event.log, event.offset)
        appended = self._appended[event.log]
        if event.offset != len(appended):
            text = f"{event.id} was appended at {event.log}@{event.offset}"
            self.report(Kind.GAP, f"{text}, next was @{len(appended)}")
        appended.add(event.offset)
        if event.only_subscription:
            self._redriven_places.add((event.log, event.offset))
        place = _Place(event.id, event.topic, event.only_subscription)
        self._owed[event.log][event.offset] = place

    def _check_epoch(self, producer: str, event: ev.Appended) -> None:
        name = producer.split("#", 1)[0]  # Instances of one named producer are "name#1", "name#2".
        latest = self._epochs.get((name, event.log), 0)
        if event.epoch < latest:
            text = f"{event.id} of epoch {event.epoch} of {name} is at {event.log}@{event.offset}"
            self.report(Kind.FENCED, f"{text}, behind epoch {latest}")
        self._epochs[name, event.log] = max(latest, event.epoch)

    def _on_redriven(self, event: ev.Redriven) -> None:
        self._redriven[event.id] += 1

    def _place(self, id_: str, log: str, offset: int, content: str = "") -> None:
        """Note that a message is at a place; it must be the only one there, and be nowhere else."""
        known = self._content.setdefault((log, offset), (id_, content))
        if known[0] != id_:
            self.report(Kind.MIXED_UP, f"{log}@{offset} holds {known[0]} and {id_}")
        published = self._published.get(id_)
        if content and published is not None and published.content not in ("", content):
            self.report(
                Kind.MIXED_UP, f"{id_} at {log}@{offset} has another content than published"
            )
        offsets = self._where.setdefault(id_, {}).setdefault(log, set())
        if offset not in offsets:
            offsets.add(offset)
            if len(offsets) > 1 + self._redriven[id_]:
                self.report(Kind.DUPLICATE, f"{id_} is in {log} at {sorted(offsets)}")

    def _check_publish_order(self) -> None:
        logs: defaultdict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
        for id_, places in self._where.items():
            published = self._published.get(id_)
            if published is not None:
                for log, offsets in places.items():
                    for offset in offsets:
                        if (log, offset) not in self._redriven_places:
                            found = (published.sequence, offset, id_)
                            logs[published.producer, log].append(found)
        for (producer, log), placed in logs.items():
            placed.sort()
            for before, after in pairwise(placed):
                if after[1] < before[1]:
                    text = f"{producer} published {before[2]} before {after[2]}"
                    places_text = f"they are at {log}@{before[1]} and @{after[1]}"
                    self.report(Kind.OUT_OF_ORDER, f"{text}, {places_text}")

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
        for member in self._members.values():
            for key in [k for k in member.in_flight if k[:2] == (event.subscription, event.log)]:
                if key[2] >= 0:  # In flight it stays, but it will not come again: see VOID.
                    member.in_flight[*key[:2], ~key[2]] = member.in_flight.pop(key)
        places = self._owed.get(event.log, {})
        position.finished.update(offset for offset in places if offset < event.offset)

    def _on_unsubscribed(self, event: ev.Unsubscribed) -> None:
        self._subscriptions[event.subscription].topics = ()

    def _on_granted(self, event: ev.Granted) -> None:
        member = self._members[event.member]
        member.messages_max, member.bytes_max = event.messages, event.size_bytes

    def _on_delivered(self, event: ev.Delivered) -> None:
        where = f"{event.id} at {event.log}@{event.offset} to {event.subscription}"
        if event.id not in self._published:
            self.report(Kind.PHANTOM, f"{where} was never published")
        appended = self._appended.get(event.log)
        if self._appended and (appended is None or event.offset not in appended):
            self.report(Kind.UNCOMMITTED, f"{where} is not in the log")
        self._place(event.id, event.log, event.offset, event.content)
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
        position.buried.add(event.offset)
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
        self._owed.pop(event.log, None)

    # ------------------------------------------------------------ the end

    def _check_done(
        self, name: str, subscription: _Subscription, log: str, places: dict[int, _Place]
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
        for id_, topic in self._unplaced.items():
            if topic in subscription.topics and not self._where.get(id_):
                self.report(Kind.LOST, f"{id_} was acknowledged and never delivered to {name}")

    def _check_gaps(
        self, name: str, subscription: _Subscription, log: str, position: _Position
    ) -> None:
        """Look for offsets nobody knows anything of, between others that were delivered."""
        if position.moved or not position.delivered or subscription.once:
            return
        seen = position.delivered | position.finished
        for offset in _missing(seen, max(position.start, 0)):
            if (log, offset) not in self._content:
                self.report(Kind.GAP, f"{log}@{offset} is unknown, {name} got what lies behind")


def _missing(seen: set[int], start: int) -> Iterator[int]:
    yield from (offset for offset in range(start, max(seen)) if offset not in seen)
