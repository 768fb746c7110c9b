"""A few commands to a Redis server over a blocking socket, so that starting one needs no client package."""

from __future__ import annotations

import socket
from typing import Final, Protocol

LINE_BYTES_MAX: Final = 64 << 10  # What these commands answer is short.


class ReplyError(Exception):
    """The server answered with an error; the text is its own."""


class _Lines(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...

    def read(self, size: int = -1, /) -> bytes: ...


def ask(port: int, *words: str, password: str = "", seconds: float) -> str:
    """Send one command to 127.0.0.1 and return the reply as text.

    Args:
        port: Of the server.
        words: The command and its arguments.
        password: Of the default user; empty = none.
        seconds: Longest wait for the connection, and for each reply.

    Raises:
        ReplyError: The server refuses, or is still loading.
        OSError: There is no server, or it does not answer in time.
    """
    with socket.create_connection(("127.0.0.1", port), seconds) as line:
        replies = line.makefile("rb")
        if password:
            line.sendall(_encoded("AUTH", password))
            _reply(replies)
        line.sendall(_encoded(*words))
        return _reply(replies)


def _encoded(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def _reply(replies: _Lines) -> str:
    line = replies.readline(LINE_BYTES_MAX)
    if not line.endswith(b"\r\n"):
        raise ConnectionError(f"the server ended its reply after {len(line)} bytes")
    kind, text = line[:1], line[1:-2].decode(errors="replace")
    if kind == b"-":
        raise ReplyError(text)
    if kind == b"$":
        size = int(text)
        return replies.read(size + 2)[:size].decode(errors="replace") if size >= 0 else ""
    if kind == b"*":
        return "\n".join(_reply(replies) for _ in range(int(text)))
    return text
