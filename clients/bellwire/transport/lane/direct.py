"""Fetches this side's end of a direct route from the coordinator's lane socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from bellwire.transport.lane.address import connect_lane
from bellwire.transport.lane.frames import Kind, encode

__all__ = ["CLAIMED", "TOKEN_BYTES", "fetch_end"]

TOKEN_BYTES: Final = 8
CLAIMED: Final = b"\x01"  # What a descriptor comes with: something must.


async def fetch_end(
    path: str, token: int, seconds: float, take: Callable[[socket.socket], None]
) -> bool:
    """Fetch this side's end of a route, a packet socket that never blocks; False when there is none for us.

    Args:
        path: Of the lane's socket.
        token: As the coordinator gave it on the stream that the route is for.
        seconds: How long to wait.
        take: Given the end; when it returns, the coordinator is told that it is in place.
    """
    sock = connect_lane(path)
    if sock is None:
        return False
    try:
        sock.send(encode(Kind.DIRECT, token.to_bytes(TOKEN_BYTES, "little")))
        async with asyncio.timeout(seconds):
            await _readable(sock)
        _, descriptors, _, _ = socket.recv_fds(sock, len(CLAIMED), 1)
        if not descriptors:
            return False
        end = socket.socket(fileno=descriptors[0])
        end.setblocking(False)
        end.set_inheritable(False)  # As Python makes every descriptor that was not received.
        take(end)
        sock.send(encode(Kind.DIRECT))
    except (OSError, TimeoutError):
        return False
    finally:
        sock.close()
    return True


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(sock)
