"""What Redis keeps of last messages: values that prove themselves, and how far they have come. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from bellwire.bus.v1.message_pb2 import Message
from bellwire.policy.envelope import TOKEN_BYTES, Envelope, GarbageError, open_envelope

__all__ = ["PUT_NEWER", "Position", "Value", "position_key", "value_key"]

_PLACE: Final = struct.Struct(">QI20s")  # The offset in digits: Lua compares texts, by locale.
_LOG: Final = struct.Struct(">QQ")

# KEYS: of values in one slot. ARGV: seconds they live, then the values. Returns how many were put.
# Bytes 5-20 are the token, 33-44 log and partition, 45-64 the offset. An older offset never replaces a newer one of the
# same log; the same one does only under another token.
PUT_NEWER: Final = """
local put = 0
for i, key in ipairs(KEYS) do
  local new = ARGV[i + 1]
  local old = redis.pcall('GET', key)
  local keeps = false
  if type(old) == 'string' and string.sub(old, 1, 4) == string.sub(new, 1, 4)
      and string.sub(old, 33, 44) == string.sub(new, 33, 44) then
    local had, has = string.sub(old, 45, 64), string.sub(new, 45, 64)
    keeps = had > has or (had == has and string.sub(old, 5, 20) == string.sub(new, 5, 20))
  end
  if not keeps then
    redis.call('SET', key, new, 'EX', ARGV[1])
    put = put + 1
  end
end
return put
"""


def value_key(prefix: str, topic: str, key: str) -> str:
    """Return where the last message of a key is kept, in the slot of its topic."""
    return f"{prefix}:{{{topic}}}:latest:{key}"


def position_key(prefix: str, topic: str) -> str:
    """Return where it is kept how far a topic's values have come, in their slot."""
    return f"{prefix}:{{{topic}}}:latest-position"


@dataclass(frozen=True, slots=True)
class Value:
    """The last message of a key.

    Attributes:
        token: Of the series it belongs to, `TOKEN_BYTES` long.
        log_id: Of the log it is in.
        partition: 0-based.
        offset: In that log.
        message: None = it is too large to be kept here; older ones are not the last.
    """

    token: bytes
    log_id: int
    partition: int
    offset: int
    message: Message | None

    def seal(self, key: str, expire_unix_nano: int) -> bytes:
        """Return the bytes to be kept under a Redis key."""
        place = _PLACE.pack(self.log_id, self.partition, b"%020d" % self.offset)
        body = b"" if self.message is None else self.message.SerializeToString()
        return Envelope(self.token, expire_unix_nano, place + body).seal(key.encode())

    @classmethod
    def open(cls, data: bytes, key: str) -> Value:
        """Return what was sealed under a Redis key.

        Raises:
            GarbageError: It is something else, or damaged.
        """
        envelope = open_envelope(data, key.encode())
        try:
            log_id, partition, offset = _PLACE.unpack_from(envelope.payload)
            body = envelope.payload[_PLACE.size :]
            message = Message.FromString(body) if body else None
            return cls(envelope.token, log_id, partition, int(offset), message)
        except (struct.error, ValueError, DecodeError) as error:
            raise GarbageError(f"no last message: {error}") from None


@dataclass(frozen=True, slots=True)
class Position:
    """How far the values of a topic have come.

    It says of its token: of all keys whose value carries it, that value is the last below these offsets. That stays
    true whatever is written later, and whatever Redis evicts: a value that is gone is no value.

    Attributes:
        token: Of the values it speaks of.
        logs: Log of each partition.
        next_offsets: Of each partition.
    """

    token: bytes
    logs: tuple[int, ...]
    next_offsets: tuple[int, ...]

    def covered(self, logs: Sequence[int]) -> dict[int, int]:
        """Return the offsets of those partitions whose log is the one given."""
        return {
            partition: self.next_offsets[partition]
            for partition, log_id in enumerate(logs[: len(self.logs)])
            if self.logs[partition] == log_id
        }

    def seal(self, key: str, expire_unix_nano: int) -> bytes:
        """Return the bytes to be kept under a Redis key."""
        payload = b"".join(
            _LOG.pack(log_id, next_offset)
            for log_id, next_offset in zip(self.logs, self.next_offsets, strict=True)
        )
        return Envelope(self.token, expire_unix_nano, payload).seal(key.encode())

    @classmethod
    def open(cls, data: bytes, key: str) -> Position:
        """Return what was sealed under a Redis key.

        Raises:
            GarbageError: It is something else, or damaged.
        """
        envelope = open_envelope(data, key.encode())
        try:
            pairs = list(_LOG.iter_unpack(envelope.payload))
        except struct.error as error:
            raise GarbageError(f"no position: {error}") from None
        assert len(envelope.token) == TOKEN_BYTES
        return cls(
            envelope.token, tuple(log_id for log_id, _ in pairs), tuple(next_ for _, next_ in pairs)
        )
