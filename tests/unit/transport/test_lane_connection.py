"""One connection of the socket lane, on a line that takes nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import pytest

from bellwire.transport.lane.connection import APART_BYTES_MIN, FrameConnection
from bellwire.transport.lane.frames import Kind, encode

BUFFER_BYTES = 256 << 10


class StuckLine(asyncio.Transport):
    """Sends nothing; its `writelines` pauses no writer, as that of Python 3.12.1 and 3.13.0.

    Attributes:
        waiting: What was written.
    """

    def __init__(self, protocol: asyncio.Protocol, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self._protocol = protocol
        self.waiting = bytearray()
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        was_full = len(self.waiting) > BUFFER_BYTES
        self.waiting += data
        if not was_full and len(self.waiting) > BUFFER_BYTES:
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.waiting += data

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize("body_bytes", [APART_BYTES_MIN - 1, APART_BYTES_MIN, 1 << 20])
async def test_a_peer_that_reads_nothing_makes_the_connection_full(body_bytes: int) -> None:
    with socket.socket() as sock:
        connection = FrameConnection(2 << 20)
        line = StuckLine(connection, sock)
        body, sent = bytes(range(256)) * (body_bytes // 256) + bytes(body_bytes % 256), 0
        while not connection.is_full and sent <= BUFFER_BYTES:
            assert connection.send(Kind.DATA, body)
            sent += len(body)
        assert connection.is_full
        assert line.waiting.startswith(encode(Kind.DATA, body))
