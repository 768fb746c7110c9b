"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Peer"]

_UCRED: Final = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, by SO_PEERCRED: what it was when it connected."""

    pid: int
    uid: int
    gid: int

    @classmethod
    def of(cls, sock: Any) -> Peer:
        """Ask the kernel who connected."""
        return cls(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
