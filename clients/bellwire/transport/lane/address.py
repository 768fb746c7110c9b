"""Where a coordinator serves the socket lane, so that nobody has to be told."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from typing import Final

from bellwire.transport.address import Address

__all__ = ["LANE_SUFFIX", "connect_lane", "lane_socket"]

LANE_SUFFIX: Final = ".lane"
LOOPBACK: Final = "127.0.0.1"
_ABSTRACT: Final = "\0bellwire/"  # Linux: a name without a file, gone with its process.
_UCRED: Final = struct.Struct("iII")


def lane_socket(address: Address) -> str | None:
    """Return the Unix socket of the lane beside an address; None = there is none for it.

    Beside a Unix socket it is a file. Beside a port of the loopback interface it is an abstract name: it
    belongs to the same network namespace as that interface, so who reaches the one reaches the other.
    """
    if address.is_unix:
        return f"{address.path}{LANE_SUFFIX}"
    host = LOOPBACK if address.host in ("localhost", "0.0.0.0", "::") else address.host
    try:
        if not ipaddress.ip_address(host).is_loopback:
            return None
    except ValueError:
        return None
    return f"{_ABSTRACT}{host}:{address.port}"


def connect_lane(path: str) -> socket.socket | None:
    """Connect to a lane; None when it does not take us now, and gRPC has to serve.

    On Unix sockets this never waits: it is done, refused, or the listener's queue is full.
    """
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError:  # No descriptor is left.
        return None
    try:
        sock.setblocking(False)
        sock.connect(path)
        if path.startswith("\0") and not _is_ours(sock):
            raise PermissionError("anybody may take an abstract name")
    except OSError:
        sock.close()
        return None
    return sock


def _is_ours(sock: socket.socket) -> bool:
    """Tell whether our own user or root listens there."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(raw)
    return uid in (0, os.getuid())
