"""Reads what publishers on the same host bring directly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.bus.v1.direct_pb2 import DirectRefused, DirectRoute, DirectSkip
from bellwire.bus.v1.subscriber_pb2 import Deliveries, Delivery
from bellwire.client._direct_order import DirectOrder
from bellwire.client._direct_packet import PACKET_BYTES_MAX, may_be_sent
from bellwire.transport.lane.direct import fetch_end

__all__ = ["DirectReader"]

_log = logging.getLogger("bellwire.client")

PACKETS_MAX: Final = 64  # In one turn; then the event loop goes round.
PACKETS_UNREAD_MAX: Final = (
    4_096  # More than a socket holds by far: each counts 700 bytes and more.
)
BUSY_SECONDS: Final = (
    0.0002  # Between two turns; a look for a further packet is not for nothing then.
)
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
        is_full: Tells whether the consumer has a window of messages to take.
    """

    def __init__(
        self,
        path: str | None,
        seconds: float,
        take: Callable[[Delivery, int], None],
        has_room: Callable[[int], bool],
        is_full: Callable[[], bool],
    ) -> None:
        self._path = path
        self._seconds = seconds
        self._take = take
        self._has_room = has_room
        self._is_full = is_full
        # Frames of the coordinator behind one that must wait for the route, bounded by the window it keeps.
        self._behind: deque[Callable[[], None]] = deque()
        self._order = DirectOrder()
        self._ends: dict[int, socket.socket] = {}
        self._producers: dict[int, tuple[int, int]] = {}  # At the other ends, with their epochs.
        self._paused: set[int] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        # One for all: a fresh one of this size costs a mapping of memory each time.
        self._buffer = bytearray(PACKET_BYTES_MAX if path else 0)
        self._view = memoryview(self._buffer)
        self._burst = 1
        self._read_at = 0.0
        self._known: deque[int] = deque(maxlen=ROUTES_REMEMBERED)

    def lead(self, path: str | None) -> None:
        """Fetch ends at another coordinator from now on."""
        self._path = path

    @property
    def is_active(self) -> bool:
        """Whether anything may come directly."""
        return bool(self._ends)

    def offered(self, route: DirectRoute) -> None:
        """Take the coordinator's offer: fetch the end, or note further partitions."""
        self._in_turn(partial(self._offered, route))

    def _in_turn(self, step: Callable[[], None]) -> None:
        """Take a step now, or behind those that wait."""
        if self._behind:
            self._behind.append(step)
        else:
            step()

    def _offered(self, route: DirectRoute) -> None:
        for route_id in self._order.replaced_by(route):
            self._drain(route_id)
        self._hand_over(self._order.announced(route))
        if route.route_id in self._known and route.route_id not in self._ends:
            self._hand_over(self._order.ended(route.route_id))  # Its publisher has gone meanwhile.
        if route.token and self._path is not None:
            task = asyncio.create_task(self._fetch(self._path, route), name="direct route")
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)

    async def _fetch(self, path: str, route: DirectRoute) -> None:
        def take(end: socket.socket) -> None:
            self._known.append(route.route_id)
            self._producers[route.route_id] = (route.producer_id, route.producer_epoch)
            self._ends[route.route_id] = end
            self._watch(route.route_id)

        if not await fetch_end(path, route.token, self._seconds, take):
            self._end(route.route_id)

    def relayed(self, delivery: Delivery, skipped: int) -> None:
        """Hand over a delivery of the coordinator, behind what is on the route before it.

        While the consumer has enough, reading the route would only let its publisher write more: it waits.

        Args:
            delivery: As it came; what came directly before is skipped.
            skipped: Bits of its messages to be skipped anyway.
        """
        step = partial(self._relayed, delivery, skipped)
        if not self._behind and self._is_full() and self._needs_reading(delivery):
            self._behind.append(step)
        else:
            self._in_turn(step)

    def _needs_reading(self, delivery: Delivery) -> bool:
        routes = delivery.batch.header.direct_routes
        return bool(routes or self._order.awaits_route(delivery))

    def _relayed(self, delivery: Delivery, skipped: int) -> None:
        header = delivery.batch.header
        brought = [route_id for route_id in header.direct_routes if route_id in self._known]
        for route_id in brought:
            self._drain(route_id)
        for _ in range(PACKETS_UNREAD_MAX):
            route_id = self._order.awaits_route(delivery)
            if not route_id or not self._read(route_id):
                break
        if brought:
            skipped = (1 << header.message_count) - 1
        for due in self._order.relayed(delivery, brought=bool(brought)):
            self._take(due, skipped if due is delivery else 0)

    def skip(self, frame: DirectSkip) -> None:
        """Hand over what waited for something that will not come."""
        self._in_turn(lambda: self._hand_over(self._order.skip(frame)))

    def refused(self, frame: DirectRefused) -> None:
        """End a route whose sequences mean nothing any more."""
        self._in_turn(partial(self._refused, frame))

    def _refused(self, frame: DirectRefused) -> None:
        self._read_out(frame.route_id)
        self._hand_over(self._order.refused(frame.route_id))
        self._end(frame.route_id)

    def on_room(self) -> None:
        """Go on: the consumer has taken what there was."""
        while self._behind and not self._is_full():
            self._behind.popleft()()
        self._read_on()

    def _read_on(self) -> None:
        for route_id in tuple(self._paused):
            self._watch(route_id)

    def end_all(self) -> None:
        """End every route."""
        for task in self._fetching:
            task.cancel()
        while self._behind:
            self._behind.popleft()()
        for route_id in tuple(self._ends):
            self._read_out(route_id)
            self._end(route_id)

    # ------------------------------------------------------------ sockets

    def _watch(self, route_id: int) -> None:
        self._paused.discard(route_id)
        asyncio.get_running_loop().add_reader(self._ends[route_id], self._on_readable, route_id)

    def _on_readable(self, route_id: int) -> None:
        """Read some packets: one where they come one by one, more where they keep coming."""
        now = asyncio.get_running_loop().time()
        self._burst = min(self._burst * 2, PACKETS_MAX) if now - self._read_at < BUSY_SECONDS else 1
        self._read_at = now
        for _ in range(self._burst):
            if not self._has_room(self._order.messages_held):
                asyncio.get_running_loop().remove_reader(self._ends[route_id])
                self._paused.add(route_id)
                return
            if not self._read(route_id):
                return

    def _read(self, route_id: int) -> bool:
        """Take a packet; False when there is none now, or will be none any more."""
        end = self._ends.get(route_id)
        if end is None:
            return False
        try:
            length = end.recv_into(self._buffer)
            deliveries = Deliveries.FromString(bytes(self._view[:length])).deliveries
        except BlockingIOError:
            return False
        except (OSError, DecodeError):
            length = 0
        if not length:
            self._end(route_id)
            return False
        for delivery in deliveries:
            header = delivery.batch.header
            producer = (header.producer_id, header.producer_epoch)
            if producer != self._producers[route_id] or not may_be_sent(delivery):
                _log.warning("a publisher sent directly what only the coordinator may: route ended")
                self._end(route_id)
                return False
            self._hand_over(self._order.direct(route_id, delivery))
        return True

    def _drain(self, route_id: int) -> None:
        """Take everything that was written, whether there is room or not."""
        for _ in range(PACKETS_UNREAD_MAX):
            if not self._read(route_id):
                return

    def _read_out(self, route_id: int) -> None:
        """Let nothing more be written, and hand over what was: the coordinator counts it as delivered."""
        end = self._ends.get(route_id)
        if end is not None:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RD)
            self._drain(route_id)

    def _end(self, route_id: int) -> None:
        end = self._ends.pop(route_id, None)
        self._producers.pop(route_id, None)
        if end is not None:
            asyncio.get_running_loop().remove_reader(end)
            end.close()
        self._paused.discard(route_id)
        self._hand_over(self._order.ended(route_id))
        self._read_on()  # What was held for it may have kept others from being read.

    def _hand_over(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._take(delivery, 0)
