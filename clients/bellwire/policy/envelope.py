"""What a shared cache keeps for a value: enough to tell it from an old one, a foreign one and garbage."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final
from zlib import crc32

__all__ = ["ENVELOPE_BYTES", "TOKEN_BYTES", "Envelope", "GarbageError", "open_envelope"]

MAGIC: Final = b"BWC1"  # The digit is the version of this layout.
TOKEN_BYTES: Final = 16
_HEAD: Final = struct.Struct(f">4s{TOKEN_BYTES}sQI")
ENVELOPE_BYTES: Final = _HEAD.size


class GarbageError(ValueError):
    """The bytes are no envelope of this key; whoever reads them takes them for a miss."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A value as a shared cache keeps it.

    Attributes:
        token: Of the generation it belongs to, `TOKEN_BYTES` random bytes.
        expire_unix_nano: When it is too old, nanoseconds since the Unix epoch of the writer's clock.
        payload: The value.
    """

    token: bytes
    expire_unix_nano: int
    payload: bytes

    def seal(self, key: bytes) -> bytes:
        """Return the bytes to be kept under a key.

        Raises:
            ValueError: The token has another length.
        """
        if len(self.token) != TOKEN_BYTES:
            raise ValueError(f"token holds {len(self.token)} bytes, {TOKEN_BYTES} are expected")
        checksum = _checksum(key, self.token, self.expire_unix_nano, self.payload)
        return _HEAD.pack(MAGIC, self.token, self.expire_unix_nano, checksum) + self.payload


def open_envelope(data: bytes, key: bytes) -> Envelope:
    """Return what was sealed under a key.

    Raises:
        GarbageError: The bytes are cut, altered, of another version or of another key.
    """
    if len(data) < ENVELOPE_BYTES:
        raise GarbageError(f"{len(data)} bytes, an envelope has {ENVELOPE_BYTES} or more")
    magic, token, expire_unix_nano, checksum = _HEAD.unpack_from(data)
    payload = data[ENVELOPE_BYTES:]
    if magic != MAGIC:
        raise GarbageError(f"begins with {magic!r}, {MAGIC!r} is expected")
    if checksum != _checksum(key, token, expire_unix_nano, payload):
        raise GarbageError("the checksum is another one")
    return Envelope(token, expire_unix_nano, payload)


def _checksum(key: bytes, token: bytes, expire_unix_nano: int, payload: bytes) -> int:
    # The key is part of it: a value copied to another key is nobody's answer there.
    return crc32(payload, crc32(b"%b\0%b%d" % (key, token, expire_unix_nano)))
