"""Puts in order what comes directly and what comes from the coordinator, by the sequences of its producer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bellwire.bus.v1.direct_pb2 import DirectPartition, DirectRoute, DirectSkip
from bellwire.bus.v1.message_pb2 import BatchHeader
from bellwire.bus.v1.subscriber_pb2 import Delivery
from bellwire.client._inbox import DELIVERY_LIMITS
from bellwire.client._lane import BATCHES_IN_FLIGHT_MAX
from bellwire.wire.batch import open_batch
from bellwire.wire.errors import BellwireError

__all__ = ["DirectOrder"]

ENDED_WAITING_MAX: Final = 1_024  # Partitions of publishers that have gone and may come back.

Key = tuple[int, int, str, int]  # producer id, its epoch, topic, partition


class _Sequence:
    """How far the messages of one producer in one partition were handed over.

    Attributes:
        next: Sequence of the message due.
        held: Direct deliveries that came before it, by their first sequence.
        route: Route they come over.
        ended: Whether nothing more comes that way.
        announced: Whether the coordinator has said that the route carries it.
        refused: What was held when the coordinator refused a batch: it comes again with another sequence, or
            never.
    """

    __slots__ = ("announced", "ended", "held", "next", "refused", "route")

    def __init__(self, route: int, next_sequence: int, *, announced: bool = True) -> None:
        self.route = route
        self.announced = announced
        self.ended = False
        self.next = next_sequence
        self.held: dict[int, Delivery] = {}
        self.refused: list[Delivery] = []


class DirectOrder:
    """Tells what may be handed over now. Plain computing; every method returns deliveries in order.

    A batch takes one of two ways. One that comes directly may have left behind one that the coordinator still
    has: it is held. The other way round nothing is held: whoever gets a delivery of the coordinator reads what
    is on the route first (`awaits_route`), and what is missing after that was dropped.

    Attributes:
        messages_held: Messages that came directly and are not due yet, over routes that have not ended: what
            waits on others may wait for good, and must not keep anybody from reading.
    """

    def __init__(self) -> None:
        self._sequences: dict[Key, _Sequence] = {}
        self._early: dict[int, list[Delivery]] = {}
        self.messages_held = 0

    def replaced_by(self, route: DirectRoute) -> set[int]:
        """Return the routes to be read before one that takes over partitions of theirs is announced."""
        known = (self._sequences.get(_key_on(route, partition)) for partition in route.partitions)
        return {sequence.route for sequence in known if sequence is not None and not sequence.ended}

    def announced(self, route: DirectRoute) -> list[Delivery]:
        """Begin with partitions of a route: everything before the sequences given was delivered."""
        due: list[Delivery] = []
        for partition in route.partitions:
            key = _key_on(route, partition)
            before = self._sequences.get(key)
            fresh = _Sequence(route.route_id, partition.next_sequence)
            if before is not None:
                self._release(before, due, below=fresh.next)
                fresh.held, fresh.refused = before.held, before.refused
                # Its publisher has gone before the announcement came.
                fresh.ended = before.ended and before.route == route.route_id
                if before.ended and not fresh.ended:
                    self._count(fresh.held.values(), 1)
            self._sequences[key] = fresh
            self._continue(fresh, due)
            self._forget_if_done(key, fresh)
        for delivery in self._early.pop(route.route_id, ()):
            self.messages_held -= delivery.batch.header.message_count
            due += self.direct(route.route_id, delivery)
        return due

    def direct(self, route_id: int, delivery: Delivery) -> list[Delivery]:
        """Take what came over a route."""
        header = delivery.batch.header
        sequence = self._sequences.get(_key(header))
        if sequence is None or sequence.route != route_id:
            # The announcement is on its way over the other socket.
            self._early.setdefault(route_id, []).append(delivery)
            self._count((delivery,), 1)
            return []
        if header.base_sequence > sequence.next:
            self._hold(sequence, delivery)
            return []
        due = [delivery]
        self._handed_over(sequence, header)
        self._continue(sequence, due)
        return due

    def awaits_route(self, delivery: Delivery) -> int:
        """Return the route to be read before a delivery of the coordinator is handed over; 0 = none."""
        header = delivery.batch.header
        sequence = self._sequences.get(_key(header))
        if sequence is None or sequence.ended or delivery.attempt:
            return 0
        if header.base_sequence == sequence.next:
            return 0
        return sequence.route

    def relayed(self, delivery: Delivery, *, brought: bool = False) -> list[Delivery]:
        """Take a delivery of the coordinator; what is missing before it was dropped.

        Args:
            delivery: As it came; it is among what is returned.
            brought: Whether it came directly before. If that is held, it is returned in front of this.
        """
        header = delivery.batch.header
        key = _key(header)
        sequence = self._sequences.get(key)
        due: list[Delivery] = []
        if brought and not delivery.attempt:
            self._take_held(delivery, due)
        if sequence is None or delivery.attempt:
            return [*due, delivery]
        if not brought:
            self._release(sequence, due, below=header.base_sequence)
        due.append(delivery)
        self._handed_over(sequence, header)
        self._continue(sequence, due)
        self._forget_if_done(key, sequence)
        return due

    def skip(self, frame: DirectSkip) -> list[Delivery]:
        """Stop waiting: what is missing was dropped."""
        key = (frame.producer_id, frame.producer_epoch, frame.topic, frame.partition)
        sequence = self._sequences.get(key)
        due: list[Delivery] = []
        if sequence is None:
            return due
        self._release(sequence, due, below=frame.next_sequence)
        sequence.next = max(sequence.next, frame.next_sequence)
        self._continue(sequence, due)
        self._forget_if_done(key, sequence)
        return due

    def ended(self, route_id: int) -> list[Delivery]:
        """Take note that nothing more comes over a route; what is held still waits for what is before it.

        Its publisher may come back with that, or not. Of more than `ENDED_WAITING_MAX` the oldest is given
        up, and what was announced of it returned, with its gaps.
        """
        early = self._early.pop(route_id, [])
        self._count(early, -1)
        for delivery in early:
            key = _key(delivery.batch.header)
            unknown = _Sequence(route_id, 0, announced=False)
            self._hold(self._sequences.setdefault(key, unknown), delivery)
        for key, sequence in tuple(self._sequences.items()):
            if sequence.route == route_id and not sequence.ended:
                self._count(sequence.held.values(), -1)
                sequence.ended = True
                self._forget_if_done(key, sequence)
        return self._give_up_oldest()

    def _give_up_oldest(self) -> list[Delivery]:
        due: list[Delivery] = []
        waiting = [key for key, sequence in self._sequences.items() if sequence.ended]
        for key in waiting[: max(0, len(waiting) - ENDED_WAITING_MAX)]:
            sequence = self._sequences.pop(key)
            if sequence.announced:  # Else nobody has said that this subscription gets it at all.
                due += [sequence.held[base] for base in sorted(sequence.held)]
        return due

    def refused(self, route_id: int) -> list[Delivery]:
        """Take note that the sequences of a route mean nothing any more; everything on it has been read."""
        for sequence in self._sequences.values():
            if sequence.route == route_id:
                held = sequence.held.values()
                self._count_held(sequence, held, -1)
                sequence.refused = [*sequence.refused, *held][-BATCHES_IN_FLIGHT_MAX:]
                sequence.held = {}
        return self.ended(route_id)

    def _hold(self, sequence: _Sequence, delivery: Delivery) -> None:
        header = delivery.batch.header
        if header.base_sequence not in sequence.held:
            sequence.held[header.base_sequence] = delivery
            self._count_held(sequence, (delivery,), 1)

    def _count_held(self, sequence: _Sequence, deliveries: Iterable[Delivery], sign: int) -> None:
        if not sequence.ended:
            self._count(deliveries, sign)

    def _count(self, deliveries: Iterable[Delivery], sign: int) -> None:
        self.messages_held += sign * sum(d.batch.header.message_count for d in deliveries)

    def _handed_over(self, sequence: _Sequence, header: BatchHeader) -> None:
        sequence.next = max(sequence.next, header.base_sequence + header.message_count)

    def _continue(self, sequence: _Sequence, due: list[Delivery]) -> None:
        """Add what is held and has become due."""
        while sequence.held and (delivery := sequence.held.pop(sequence.next, None)) is not None:
            self._count_held(sequence, (delivery,), -1)
            self._handed_over(sequence, delivery.batch.header)
            due.append(delivery)

    def _take_held(self, delivery: Delivery, due: list[Delivery]) -> None:
        """Add what is held of the messages that the coordinator brings as well.

        They are told by their ids: a batch that was refused for one before it has another sequence now, or
        another producer where that had to begin anew, and the coordinator may bring a part of it.
        """
        header = delivery.batch.header
        first_id = open_batch(delivery.batch, DELIVERY_LIMITS)[0].id
        for key, sequence in tuple(self._sequences.items()):
            if key != _key(header) and sequence.route not in header.direct_routes:
                continue
            for held in (*sequence.refused, *sequence.held.values()):
                if not _holds(held, first_id):
                    continue
                sequence.refused = [other for other in sequence.refused if other is not held]
                if sequence.held.get(held.batch.header.base_sequence) is held:
                    del sequence.held[held.batch.header.base_sequence]
                    self._count_held(sequence, (held,), -1)
                due.append(held)
                if key != _key(header):
                    self._forget_if_done(key, sequence)
                return

    def _release(self, sequence: _Sequence, due: list[Delivery], below: int) -> None:
        """Add everything held before a sequence, with its gaps."""
        for base in sorted(sequence.held):
            if base >= below:
                return
            delivery = sequence.held.pop(base)
            self._count_held(sequence, (delivery,), -1)
            self._handed_over(sequence, delivery.batch.header)
            due.append(delivery)

    def _forget_if_done(self, key: Key, sequence: _Sequence) -> None:
        if sequence.ended and not (sequence.held or sequence.refused):
            self._sequences.pop(key, None)


def _key_on(route: DirectRoute, partition: DirectPartition) -> Key:
    return (route.producer_id, route.producer_epoch, partition.topic, partition.partition)


def _key(header: BatchHeader) -> Key:
    return (header.producer_id, header.producer_epoch, header.topic, header.partition)


def _holds(delivery: Delivery, message_id: str) -> bool:
    """Tell whether a message is in a delivery; whether that opens at all, nobody has looked at yet."""
    try:
        messages = open_batch(delivery.batch, DELIVERY_LIMITS)
    except BellwireError:
        return False
    return any(message.id == message_id for message in messages)
