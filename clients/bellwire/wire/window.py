"""Hard windows: what may be in flight to a peer, counted in messages and uncompressed bytes."""

from __future__ import annotations

from typing import Final

from bellwire.bus.v1 import message_pb2
from bellwire.wire.errors import InvalidWindowError

WINDOW_MESSAGES_MAX: Final = 1_000_000
WINDOW_BYTES_MAX: Final = (
    1 << 30
)  # 1 GiB: more than one peer may hold of a 300 MB coordinator is a mistake.


class Window:
    """Accounts for what is in flight against a limit that may move at any time.

    A limit lowered below what is in flight takes nothing back: `room` is empty until enough has returned.
    """

    __slots__ = ("bytes_in_flight", "bytes_max", "messages_in_flight", "messages_max")

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self.messages_in_flight = 0
        self.bytes_in_flight = 0

    def fits(self, messages: int, size_bytes: int) -> bool:
        """Tell whether this much more may be sent now."""
        return (
            self.messages_in_flight + messages <= self.messages_max
            and self.bytes_in_flight + size_bytes <= self.bytes_max
        )

    @property
    def messages_free(self) -> int:
        """Messages that may be sent now, ≥ 0."""
        return max(0, self.messages_max - self.messages_in_flight)

    @property
    def bytes_free(self) -> int:
        """Bytes that may be sent now, ≥ 0."""
        return max(0, self.bytes_max - self.bytes_in_flight)

    def take(self, messages: int, size_bytes: int) -> None:
        """Count as in flight what `fits` allowed."""
        self.messages_in_flight += messages
        self.bytes_in_flight += size_bytes

    def give_back(self, messages: int, size_bytes: int) -> None:
        """Count as returned what `take` counted."""
        self.messages_in_flight -= messages
        self.bytes_in_flight -= size_bytes

    def resize(self, messages_max: int, bytes_max: int) -> None:
        """Move the limit."""
        self.messages_max = messages_max
        self.bytes_max = bytes_max


def check_window(window: message_pb2.Window, message_bytes_max: int) -> None:
    """Refuse a window nothing could pass.

    Raises:
        InvalidWindowError: No messages, too many, or fewer bytes than one message may have.
    """
    if not 1 <= window.messages <= WINDOW_MESSAGES_MAX:
        raise InvalidWindowError(
            f"window of {window.messages} messages is not allowed: ask for 1 to {WINDOW_MESSAGES_MAX}",
            metadata={"messages": str(window.messages)},
        )
    if not message_bytes_max <= window.bytes <= WINDOW_BYTES_MAX:
        raise InvalidWindowError(
            f"window of {window.bytes} bytes is not allowed: the largest message may have "
            f"{message_bytes_max} bytes, ask for {message_bytes_max} to {WINDOW_BYTES_MAX}",
            metadata={"bytes": str(window.bytes), "message_bytes_max": str(message_bytes_max)},
        )
