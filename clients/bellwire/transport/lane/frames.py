"""Frames of the socket lane, without I/O.

A frame is its length (4 bytes, little-endian, of what follows), its kind (1 byte) and its body. A client
sends OPEN with the full method, "/package.Service/Method", then DATA for each request and HALF_CLOSE behind
the last; the server DATA for each response and END with the status. Who closes the connection early has
cancelled, or crashed.

A client that fetches its end of a direct route sends DIRECT instead, with the token (8 bytes, little-endian): a
descriptor comes back beside one byte, or the connection is closed. DIRECT without a body says that it is in place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bellwire.wire.errors import CallerError

__all__ = ["HEADER_BYTES", "End", "Kind", "Splitter", "encode", "header"]

_HEADER: Final = struct.Struct("<IB")
_END: Final = struct.Struct("<BI")
HEADER_BYTES: Final = _HEADER.size
LENGTH_BYTES: Final = 4
PIECE_BYTES_MIN: Final = (
    1024  # Of a piece kept as it came: a dribble of bytes must not cost fifty times as much.
)


class Kind(IntEnum):
    """What a frame carries."""

    OPEN = 1
    DATA = 2
    HALF_CLOSE = 3
    END = 4
    DIRECT = 5


def encode(kind: Kind, body: bytes = b"") -> bytes:
    """Return a frame."""
    return _HEADER.pack(len(body) + 1, kind) + body


def header(kind: Kind, body: bytes) -> bytes:
    """Return what goes before the body of a frame."""
    return _HEADER.pack(len(body) + 1, kind)


@dataclass(frozen=True, slots=True)
class End:
    """How an RPC ended.

    Attributes:
        code: gRPC status code.
        details: Its text.
        status: google.rpc.Status, serialized; empty = none.
    """

    code: int
    details: str = ""
    status: bytes = b""

    def encode(self) -> bytes:
        """Return the body of an END frame."""
        text = self.details.encode()
        return _END.pack(self.code, len(text)) + text + self.status

    @classmethod
    def decode(cls, body: bytes) -> End:
        """Read the body of an END frame.

        Raises:
            CallerError: It is none.
        """
        if len(body) < _END.size:
            raise CallerError(f"END frame has {len(body)} bytes, at least {_END.size} are needed")
        code, length = _END.unpack_from(body)
        rest = body[_END.size :]
        return cls(code, rest[:length].decode(errors="replace"), rest[length:])


class Splitter:
    """Cuts what arrives into frames.

    A body that comes in pieces is joined once: those of large tensors come in several.

    Args:
        frame_bytes_max: Longest body taken.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._head = b""  # Less than a header.
        self._kind = 0  # Of the body begun.
        self._pieces: list[bytes | bytearray] = []  # Of that.
        self._missing_bytes = 0  # Of that; 0 = none is begun.

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and body of every frame that is whole now.

        Raises:
            CallerError: A frame is too long, or of no length; nothing behind it can be understood.
        """
        start = self._missing_bytes
        if start > len(data):
            self._keep(data)
            return
        if start:
            self._keep(data[:start])
            body = b"".join(self._pieces)
            self._pieces.clear()
            yield self._kind, body
        elif self._head:
            data = self._head + data
        end = len(data)
        while end - start >= HEADER_BYTES:
            length, kind = _HEADER.unpack_from(data, start)
            if not 1 <= length <= self._frame_bytes_max + 1:
                raise CallerError(
                    f"frame of {length - 1} bytes, limit is {self._frame_bytes_max}: "
                    "send smaller batches"
                )
            begin, stop = start + HEADER_BYTES, start + LENGTH_BYTES + length
            if stop > end:
                self._head, self._kind, self._missing_bytes = b"", kind, stop - begin
                self._keep(data[begin:])
                return
            yield kind, data[begin:stop]
            start = stop
        self._head = data[start:]

    def _keep(self, piece: bytes) -> None:
        """Add a piece of the body begun; small ones share an object, which would be larger than they are."""
        self._missing_bytes -= len(piece)
        pieces = self._pieces
        if len(piece) >= PIECE_BYTES_MIN:
            pieces.append(piece)
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += piece
        else:
            pieces.append(bytearray(piece))
