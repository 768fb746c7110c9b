"""Hands out the two ends of a route: a socketpair of the kernel, which knows them both from then on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import Any, Final

from bellwire.coordinator.core.direct import DirectRoutes, Route
from bellwire.transport.lane.direct import CLAIMED, TOKEN_BYTES

__all__ = ["DirectEnds"]

_log = logging.getLogger("bellwire.coordinator")

FETCH_SECONDS: Final = 10.0  # How long the publisher's end is kept for it.


class DirectEnds:
    """The ends that were made and not fetched yet."""

    def __init__(self, routes: DirectRoutes) -> None:
        self._routes = routes
        self._ends: dict[int, socket.socket] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def hand_out(self, token: bytes, process: int, connection: Any) -> bool:
        """Send the end that a token stands for to a process; False when it gets none.

        Args:
            token: As the process sent it.
            process: Who asks, as the kernel says.
            connection: Its connection, on which nothing was sent.
        """
        if len(token) != TOKEN_BYTES:
            return False
        number = int.from_bytes(token, "little")
        route = self._routes.claim(number, process)
        if route is None:
            return False
        is_reader = number == route.reader_token
        end = self._reader_end(route) if is_reader else self._take(route.route_id)
        if end is None:
            return False
        try:
            _send(connection, end)
        except OSError as error:
            _log.warning("an end of a direct route could not be handed out: %s", error.strerror)
            self._drop(route.route_id)
            return False
        finally:
            end.close()
        if is_reader:
            self._routes.opened(route)
        return True

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


def _send(connection: Any, end: socket.socket) -> None:
    """Send a descriptor on a connection that the event loop reads."""
    with socket.socket(fileno=os.dup(connection.fileno())) as sock:
        sock.setblocking(False)
        socket.send_fds(sock, [CLAIMED], [end.fileno()])
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
