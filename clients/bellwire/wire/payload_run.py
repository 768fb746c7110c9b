"""Payloads that share an envelope, encoded without making a message object for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, overload

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.id_run import IdRun
from bellwire.wire.message import message_ids

_ID_FIELD: Final = b"\x0a\x24"  # Message.id = 1, 36 bytes.
_DATA_TAG: Final = b"\x72"  # Message.data = 14.
_MESSAGES_TAG: Final = b"\x0a"  # MessageBlock.messages = 1.
_VARINT_BITS: Final = 7
_VARINT_MORE: Final = 0x80
_HEADS_KEPT_MAX: Final = 1 << 12  # A megabyte, where payloads have every length below 4 KiB.


class _Heads(dict[int, bytes]):
    """A tag and a length, by length; those of short fields are kept."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag

    def __missing__(self, length: int) -> bytes:
        head = self._tag + _varint(length)
        if length < _HEADS_KEPT_MAX:
            self[length] = head
        return head


_MESSAGE_HEADS: Final = _Heads(_MESSAGES_TAG)
_DATA_HEADS: Final = _Heads(_DATA_TAG)
_DATA_HEADS[0] = b""  # An empty field is left out.


def block_of_one(message: bytes) -> bytes:
    """Return the serialized MessageBlock of one serialized message, without an object that it is copied into."""
    return _MESSAGE_HEADS[len(message)] + message


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
        self, payloads: Sequence[bytes], envelope: Message, ids: IdRun | None = None
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
        sizes = list(map(len, self.payloads))
        alike = sizes.count(sizes[0]) == len(sizes) if sizes else False
        parts: list[bytes] = []
        begin = 0
        for prefix, counters, tail in self._ids.pieces():
            end = begin + len(counters)
            columns = _columns(
                sizes[begin:end], _ID_FIELD + prefix, counters, tail + envelope, alike=alike
            )
            parts += _interleaved([*columns, self.payloads[begin:end]])
            begin = end
        return b"".join(parts)


class PayloadRuns(Sequence[Message]):
    """Runs that follow each other in one batch; a block of several is theirs, one behind the other.

    Args:
        runs: At least one.
    """

    __slots__ = ("runs",)

    def __init__(self, runs: Sequence[PayloadRun]) -> None:
        self.runs = runs

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return [message for run in self.runs for message in run][index]

    def block(self) -> bytes:
        """Return the serialized MessageBlock of all messages."""
        return b"".join([run.block() for run in self.runs])


def _columns(
    sizes: list[int], before: bytes, counters: Sequence[bytes], behind: bytes, *, alike: bool
) -> list[Sequence[bytes]]:
    """Return what stands before the payloads, in columns; fewer where all payloads have one length."""
    rest = len(before) + len(counters[0]) + len(behind)
    if alike:
        data = _DATA_HEADS[sizes[0]]
        start = _MESSAGE_HEADS[rest + len(data) + sizes[0]] + before
        return [[start] * len(sizes), counters, [behind + data] * len(sizes)]
    heads = [_DATA_HEADS[size] for size in sizes]
    starts = [
        _MESSAGE_HEADS[rest + len(head) + size] for head, size in zip(heads, sizes, strict=True)
    ]
    return [starts, [before] * len(sizes), counters, [behind] * len(sizes), heads]


def _interleaved(columns: list[Sequence[bytes]]) -> list[bytes]:
    """Return the rows of the columns one behind the other; a loop over the rows costs twice as much."""
    width = len(columns)
    parts = [b""] * (width * len(columns[0]))
    for index, column in enumerate(columns):
        parts[index::width] = column
    return parts


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _VARINT_MORE:
        out.append(number & (_VARINT_MORE - 1) | _VARINT_MORE)
        number >>= _VARINT_BITS
    out.append(number)
    return bytes(out)
