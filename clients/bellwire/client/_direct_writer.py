"""Brings batches to subscribers on the same host before they go to the coordinator."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Final

from bellwire.bus.v1.direct_pb2 import DirectRoute
from bellwire.bus.v1.message_pb2 import Batch
from bellwire.client._direct_packet import PACKET_BYTES_MAX, encode_packet
from bellwire.transport.lane.direct import fetch_end
from bellwire.wire.batch import block_bytes

__all__ = ["DirectWriter"]

FULL_SECONDS: Final = (
    0.01  # For a subscriber to read some of a full socket; until then the coordinator serves.
)
ROUTES_MAX: Final = 64  # As the contract allows in a header.


class _Route:
    __slots__ = ("end", "full_until", "partitions")

    def __init__(self, end: socket.socket | None) -> None:
        self.end = end
        self.partitions: set[tuple[str, int]] = set()
        self.full_until = 0.0


class DirectWriter:
    """The routes of one publish stream.

    A batch is written whole or not at all, without waiting. Where it was, its header names the route; where the
    subscriber is too slow, its process gone or the batch too large, it does not, and the coordinator delivers it.

    Args:
        path: Of the lane's socket; None = there is none, and no routes.
        seconds: How long fetching an end may take.
    """

    def __init__(self, path: str | None, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._routes: dict[int, _Route] = {}
        self._fetching: set[asyncio.Task[None]] = set()

    def lead(self, path: str | None) -> None:
        """Fetch ends at another coordinator from now on."""
        self._path = path

    def offered(self, offer: DirectRoute) -> None:
        """Take the coordinator's offer: fetch the end, or note further partitions."""
        route = self._routes.get(offer.route_id)
        if route is None:
            if not offer.token or self._path is None or len(self._routes) >= ROUTES_MAX:
                return
            route = self._routes[offer.route_id] = _Route(None)
            task = asyncio.create_task(self._fetch(self._path, offer, route), name="direct route")
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        route.partitions.update((p.topic, p.partition) for p in offer.partitions)

    async def _fetch(self, path: str, offer: DirectRoute, route: _Route) -> None:
        def take(end: socket.socket) -> None:
            route.end = end
            # Nothing is ever read here: what there is to read is its end, or no subscriber of ours.
            asyncio.get_running_loop().add_reader(end, self._end, offer.route_id)

        if not await fetch_end(path, offer.token, self._seconds, take):
            self._end(offer.route_id)

    def write(self, batches: Sequence[Batch]) -> None:
        """Write batches that were never sent before to whoever they are for, and note that in their headers."""
        if not self._routes:
            return
        chosen = {
            route_id: indexes
            for route_id, route in self._routes.items()
            if (indexes := self._chosen(route, batches))
        }
        # All of them before any header names a route: that is for the coordinator.
        packets = {
            indexes: encode_packet([batches[index] for index in indexes])
            for indexes in set(chosen.values())
        }
        for route_id, indexes in chosen.items():
            route = self._routes[route_id]
            if route.end is not None and self._send(route_id, route, route.end, packets[indexes]):
                for index in indexes:
                    batches[index].header.direct_routes.append(route_id)

    def _chosen(self, route: _Route, batches: Sequence[Batch]) -> tuple[int, ...]:
        """Return which batches a route may take now: none where they are too large together."""
        if route.end is None or (route.full_until and time.monotonic() < route.full_until):
            return ()
        indexes = tuple(
            index
            for index, batch in enumerate(batches)
            if (batch.header.topic, batch.header.partition) in route.partitions
            and not batch.header.max_not_before_time_unix_nano
        )
        if sum(block_bytes(batches[index]) for index in indexes) > PACKET_BYTES_MAX:
            return ()
        return indexes

    def _send(self, route_id: int, route: _Route, end: socket.socket, packet: bytes) -> bool:
        if len(packet) > PACKET_BYTES_MAX:
            return False
        try:
            end.send(packet)
        except BlockingIOError:
            route.full_until = time.monotonic() + FULL_SECONDS
            return False
        except OSError:  # The subscriber has ended it, or is gone.
            self._end(route_id)
            return False
        route.full_until = 0.0
        return True

    def _end(self, route_id: int) -> None:
        route = self._routes.pop(route_id, None)
        if route is not None and route.end is not None:
            asyncio.get_running_loop().remove_reader(route.end)
            route.end.close()

    def end_all(self) -> None:
        """End every route; what was written is read all the same."""
        for task in self._fetching:
            task.cancel()
        for route_id in tuple(self._routes):
            self._end(route_id)
