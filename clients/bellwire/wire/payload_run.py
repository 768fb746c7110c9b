"""Payloads that share an envelope, encoded without making a message object for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, overload

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.message import message_ids

_ID_FIELD: Final = b"\x0a\x24"  # Message.id = 1, 36 bytes.
_ID_FIELD_BYTES: Final = 38
_DATA_TAG: Final = b"\x72"  # Message.data = 14.
_MESSAGES_TAG: Final = b"\x0a"  # MessageBlock.messages = 1.
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80


class PayloadRun(Sequence[Message]):
    """Messages of one publisher, topic, type, key and time that differ in id and payload only.

    A protobuf object for each of them costs more than all the rest of publishing. Here the fields they
    share are serialized once; a block is those bytes, an id and a payload, joined
    (Protocol Buffers encoding guide, "Message Structure" and "Length-Delimited Records").

    Args:
        payloads: One per message; not to be changed any more.
        envelope: What they share: everything but id and data. Time 0 = now.
    """

    __slots__ = ("_ids", "envelope", "payloads")

    def __init__(
        self, payloads: Sequence[bytes], envelope: Message, ids: Sequence[str] | None = None
    ) -> None:
        self.payloads = payloads
        self.envelope = envelope
        if ids is None:
            now = time.time_ns()
            envelope.time_unix_nano = envelope.time_unix_nano or now
            ids = message_ids(now, len(payloads))
        self._ids = ids

    @property
    def payload_bytes(self) -> int:
        """Bytes of all payloads together."""
        return sum(map(len, self.payloads))

    def __len__(self) -> int:
        return len(self.payloads)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> PayloadRun: ...
    def __getitem__(self, index: int | slice) -> Message | PayloadRun:
        if isinstance(index, slice):
            return PayloadRun(self.payloads[index], self.envelope, self._ids[index])
        message = Message()
        message.CopyFrom(self.envelope)
        message.id = self._ids[index]
        message.data = self.payloads[index]
        return message

    def block(self) -> bytes:
        """Return the serialized MessageBlock of all messages."""
        envelope = self.envelope.SerializeToString()
        around: dict[int, tuple[bytes, bytes]] = {}
        parts: list[bytes] = []
        for message_id, payload in zip(self._ids, self.payloads, strict=True):
            size = len(payload)
            frame = around.get(size)
            if frame is None:
                frame = around[size] = _around(envelope, size)
            parts += (frame[0], message_id.encode(), frame[1], payload)
        return b"".join(parts)


def _around(envelope: bytes, payload_bytes: int) -> tuple[bytes, bytes]:
    """Return what stands before the id and between id and payload, for payloads of one length."""
    data = _DATA_TAG + _varint(payload_bytes) if payload_bytes else b""
    size = _ID_FIELD_BYTES + len(envelope) + len(data) + payload_bytes
    return _MESSAGES_TAG + _varint(size) + _ID_FIELD, envelope + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _VARINT_MORE:
        out.append(number & (_VARINT_MORE - 1) | _VARINT_MORE)
        number >>= _VARINT_BITS
    out.append(number)
    return bytes(out)
