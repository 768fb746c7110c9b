"""Hands out the two ends of a route: a socketpair of the kernel, which knows them both from then on."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from functools import partial
from typing import Any, Final

from bellwire.coordinator.core.direct import DirectRoutes, Route
from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.direct import CLAIMED, TOKEN_BYTES
from bellwire.transport.lane.frames import Kind
from bellwire.wire.errors import CallerError

__all__ = ["DirectEnds"]

_log = logging.getLogger("bellwire.coordinator")

FETCH_SECONDS: Final = 10.0  # How long the publisher's end is kept for it.


class DirectEnds:
    """The ends that were made and not fetched yet."""

    def __init__(self, routes: DirectRoutes) -> None:
        self._routes = routes
        self._ends: dict[int, socket.socket] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    async def hand_out(
        self, token: bytes, process: int, connection: FrameConnection, sock: Any
    ) -> None:
        """Send the end that a token stands for to a process, and wait until that says it is in place.

        Only then is the other side told: what is written into the socket counts as delivered.

        Args:
            token: As the process sent it.
            process: Who asks, as the kernel says.
            connection: Its connection, on which nothing was sent.
            sock: The socket of that.
        """
        if len(token) != TOKEN_BYTES:
            return
        number = int.from_bytes(token, "little")
        route = self._routes.claim(number, process)
        if route is None:
            return
        is_reader = number == route.reader_token
        end = self._reader_end(route) if is_reader else self._take(route.route_id)
        if end is None:
            return
        try:
            _send(sock, end)
        except OSError as error:
            _log.warning("an end of a direct route could not be handed out: %s", error.strerror)
            self._drop(route.route_id)
            return
        finally:
            end.close()
        if not await _is_confirmed(connection):
            self._drop(route.route_id)
        elif is_reader and route.route_id in self._ends:
            self._routes.opened(route)

    def _reader_end(self, route: Route) -> socket.socket | None:
        """Make the pair, keep the publisher's end for it, and return the other."""
        try:
            # Packets: one batch or one frame of them each, written whole or not at all.
            mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:  # No descriptor is left.
            _log.warning("no direct route: %s", error.strerror)
            return None
        mine.setblocking(False)
        other.setblocking(False)
        self._ends[route.route_id] = other
        route.on_end = partial(self._drop, route.route_id)
        loop = asyncio.get_running_loop()
        self._timers[route.route_id] = loop.call_later(FETCH_SECONDS, self._drop, route.route_id)
        return mine

    def _take(self, route_id: int) -> socket.socket | None:
        timer = self._timers.pop(route_id, None)
        if timer is not None:
            timer.cancel()
        return self._ends.pop(route_id, None)

    def _drop(self, route_id: int) -> None:
        end = self._take(route_id)
        if end is not None:
            end.close()

    def close(self) -> None:
        """Drop everything that nobody fetched."""
        for route_id in tuple(self._ends):
            self._drop(route_id)


def _send(sock: Any, end: socket.socket) -> None:
    """Send a descriptor on a connection that the event loop reads."""
    with socket.socket(fileno=os.dup(sock.fileno())) as own:
        own.setblocking(False)
        socket.send_fds(own, [CLAIMED], [end.fileno()])


async def _is_confirmed(connection: FrameConnection) -> bool:
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            frame = await connection.read()
    except (TimeoutError, CallerError):
        return False
    return frame is not None and frame[0] == Kind.DIRECT
