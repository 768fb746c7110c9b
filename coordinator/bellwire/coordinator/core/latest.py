"""The last message of each key of one topic."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.log.protocol import Entry

KEY_BYTES: Final = (
    1_350  # What a key costs beside its serialized message, as measured with 20,000 of them.
)


@dataclass(frozen=True, slots=True)
class LatestMessage:
    """The last message of a key, and where it is in the log."""

    message: Message
    partition: int
    offset: int
    size_bytes: int


class LatestMessages:
    """Keys of one topic with their last messages, bounded; the key that was silent longest goes first.

    A key belongs to one partition, so that entries of one partition have to be taken in their order, and those of
    several in any.

    Attributes:
        bytes: Kept now.
        dropped: Keys that made room for others.
        known_from: By partition the offset from which on the last message of every key is known; 0 where it is not
            there.
    """

    def __init__(self, keys_max: int, bytes_max: int) -> None:
        self._keys_max = keys_max
        self._bytes_max = bytes_max
        self._latest: OrderedDict[str, LatestMessage] = OrderedDict()
        self.bytes = 0
        self.dropped = 0
        self.known_from: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._latest)

    def take(self, partition: int, entry: Entry) -> list[LatestMessage]:
        """Take the messages of an entry and return those kept; those without a key are nobody's latest."""
        messages = entry.messages()
        last = {message.key: index for index, message in enumerate(messages)}
        taken = []
        for index in sorted(last.values()):
            if messages[index].key:
                # A copy: protobuf keeps the whole block alive as long as any of its messages lives.
                kept = Message()
                kept.CopyFrom(messages[index])
                taken.append(self._put(kept, partition, entry.base_offset + index))
        return taken

    def forgets_below(self, partition: int, offset: int) -> None:
        """Take note that messages below an offset may not have been seen, or are forgotten."""
        if offset > self.known_from.get(partition, 0):
            self.known_from[partition] = offset

    def known(self, key: str) -> LatestMessage | None:
        """Return the last message of a key, whether or not it has expired."""
        return self._latest.get(key)

    def recent_keys(self, count: int) -> list[str]:
        """Return at most so many keys, those published last first."""
        return list(islice(reversed(self._latest), count))

    def get(self, key: str, now_ns: int) -> LatestMessage | None:
        """Return the last message of a key; None when there is none, or it has expired."""
        found = self._latest.get(key)
        if found is None or 0 < found.message.expire_time_unix_nano <= now_ns:
            return None
        return found

    def _put(self, message: Message, partition: int, offset: int) -> LatestMessage:
        size = message.ByteSize() + KEY_BYTES
        older = self._latest.pop(message.key, None)
        if older is not None:
            self.bytes -= older.size_bytes
        put = self._latest[message.key] = LatestMessage(message, partition, offset, size)
        self.bytes += size
        while len(self._latest) > self._keys_max or self.bytes > self._bytes_max:
            _, gone = self._latest.popitem(last=False)
            self.bytes -= gone.size_bytes
            self.dropped += 1
            self.forgets_below(gone.partition, gone.offset + 1)
        return put
