"""Fetches this side's end of a direct route from the coordinator's lane socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from bellwire.transport.lane.address import connect_lane
from bellwire.transport.lane.frames import Kind, encode

__all__ = ["CLAIMED", "TOKEN_BYTES", "fetch_end"]

TOKEN_BYTES: Final = 8
CLAIMED: Final = b"\x01"  # What a descriptor comes with: something must.


async def fetch_end(path: str, token: int, seconds: float) -> socket.socket | None:
    """Return this side's end of a route, a packet socket that never blocks; None when there is none for us.

    Args:
        path: Of the lane's socket.
        token: As the coordinator gave it on the stream that the route is for.
        seconds: How long to wait.
    """
    sock = connect_lane(path)
    if sock is None:
        return None
    try:
        sock.send(encode(Kind.DIRECT, token.to_bytes(TOKEN_BYTES, "little")))
        async with asyncio.timeout(seconds):
            return await _received(sock)
    except (OSError, TimeoutError):
        return None
    finally:
        sock.close()


async def _received(sock: socket.socket) -> socket.socket | None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(sock)
    _, descriptors, _, _ = socket.recv_fds(sock, len(CLAIMED), 1)
    if not descriptors:
        return None
    end = socket.socket(fileno=descriptors[0])
    end.setblocking(False)
    return end
