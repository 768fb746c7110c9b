"""Reads what publishers on the same host bring directly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.bus.v1.direct_pb2 import DirectRefused, DirectRoute, DirectSkip
from bellwire.bus.v1.subscriber_pb2 import Deliveries, Delivery
from bellwire.client._direct_order import DirectOrder
from bellwire.client._direct_packet import PACKET_BYTES_MAX
from bellwire.transport.lane.direct import fetch_end

__all__ = ["DirectReader"]

PACKETS_PER_TURN: Final = 64  # Then the event loop goes round.
ROUTES_REMEMBERED: Final = 256  # Ended ones whose batches the coordinator may deliver again.


class DirectReader:
    """The routes of one subscription.

    What was read is handed over at once, or held until what comes before it has come. Nothing is read while the
    consumer has enough; then the publisher finds the socket full, and its messages go by the coordinator, whose
    policies know what to do.

    Args:
        path: Of the lane's socket; None = there is none, and no routes.
        seconds: How long fetching an end may take.
        take: Called with each delivery, in order, and the bits of its messages to be skipped.
        has_room: Tells whether more should be read; takes the messages held here.
    """

    def __init__(
        self,
        path: str | None,
        seconds: float,
        take: Callable[[Delivery, int], None],
        has_room: Callable[[int], bool],
    ) -> None:
        self._path = path
        self._seconds = seconds
        self._take = take
        self._has_room = has_room
        self._order = DirectOrder()
        self._ends: dict[int, socket.socket] = {}
        self._paused: set[int] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self._known: deque[int] = deque(maxlen=ROUTES_REMEMBERED)

    @property
    def is_active(self) -> bool:
        """Whether anything may come directly."""
        return bool(self._ends)

    def offered(self, route: DirectRoute) -> None:
        """Take the coordinator's offer: fetch the end, or note further partitions."""
        for route_id in self._order.replaced_by(route):
            self._read(route_id, packets_max=None)
        self._hand_over(self._order.announced(route))
        if route.token and self._path is not None:
            task = asyncio.create_task(self._fetch(self._path, route), name="direct route")
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def _fetch(self, path: str, route: DirectRoute) -> None:
        def take(end: socket.socket) -> None:
            self._known.append(route.route_id)
            self._ends[route.route_id] = end
            self._watch(route.route_id)

        if not await fetch_end(path, route.token, self._seconds, take):
            self._end(route.route_id)

    def relayed(self, delivery: Delivery, skipped: int) -> None:
        """Hand over a delivery of the coordinator, behind what is on the route before it.

        Args:
            delivery: As it came; what came directly before is skipped.
            skipped: Bits of its messages to be skipped anyway.
        """
        header = delivery.batch.header
        brought = [route_id for route_id in header.direct_routes if route_id in self._known]
        for route_id in brought or (self._order.awaits_route(delivery),):
            self._read(route_id, packets_max=None)
        if brought:
            skipped = (1 << header.message_count) - 1
        for due in self._order.relayed(delivery, brought=bool(brought)):
            self._take(due, skipped if due is delivery else 0)

    def skip(self, frame: DirectSkip) -> None:
        """Hand over what waited for something that will not come."""
        self._hand_over(self._order.skip(frame))

    def refused(self, frame: DirectRefused) -> None:
        """End a route whose sequences mean nothing any more."""
        self._read_out(frame.route_id)
        self._order.refused(frame.route_id)
        self._end(frame.route_id)

    def on_room(self) -> None:
        """Read on: the consumer has taken what there was."""
        for route_id in tuple(self._paused):
            self._watch(route_id)

    def end_all(self) -> None:
        """End every route."""
        for task in self._fetching:
            task.cancel()
        for route_id in tuple(self._ends):
            self._read_out(route_id)
            self._end(route_id)

    # ------------------------------------------------------------ sockets

    def _watch(self, route_id: int) -> None:
        self._paused.discard(route_id)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._ends[route_id], self._read, route_id, PACKETS_PER_TURN)

    def _read(self, route_id: int, packets_max: int | None) -> None:
        """Read what is there, at most so many packets; None = all of it, whether there is room or not."""
        end = self._ends.get(route_id)
        count = 0
        while end is not None and (packets_max is None or count < packets_max):
            if packets_max is not None and not self._has_room(self._order.messages_held):
                asyncio.get_running_loop().remove_reader(end)
                self._paused.add(route_id)
                return
            try:
                packet = end.recv(PACKET_BYTES_MAX)
                deliveries = Deliveries.FromString(packet).deliveries
            except BlockingIOError:
                return
            except (OSError, DecodeError):
                packet = b""
            if not packet:
                self._end(route_id)
                return
            for delivery in deliveries:
                self._hand_over(self._order.direct(route_id, delivery))
            count += 1

    def _read_out(self, route_id: int) -> None:
        """Let nothing more be written, and hand over what was: the coordinator counts it as delivered."""
        end = self._ends.get(route_id)
        if end is not None:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            self._read(route_id, packets_max=None)

    def _end(self, route_id: int) -> None:
        end = self._ends.pop(route_id, None)
        if end is not None:
            asyncio.get_running_loop().remove_reader(end)
            end.close()
        self._paused.discard(route_id)
        self._order.ended(route_id)

    def _hand_over(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._take(delivery, 0)
