"""What became of published messages, counted, as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_UNSPECIFIED,
    AckLevel,
)
from bellwire.cli.units import counted_text

if TYPE_CHECKING:
    from bellwire.client import Message, PublishedRange

__all__ = ["Outcome"]


class Outcome:
    """Counts what was acknowledged."""

    def __init__(self) -> None:
        self.messages = 0
        self.payload_bytes = 0
        self.duplicates = 0
        self._level = ACK_LEVEL_UNSPECIFIED

    def add(self, messages: Sequence[Message], ranges: Sequence[PublishedRange]) -> None:
        """Take messages that were acknowledged, and where they are."""
        self.messages += len(messages)
        self.payload_bytes += sum(len(message.data) for message in messages)
        for range_ in ranges:
            self.duplicates += len(range_) if range_.duplicate else 0
            reached = range_.ack_level
            self._level = min(self._level or reached, reached)

    @property
    def level(self) -> str:
        """The lowest level reached, as a flag spells it; empty when nothing was published."""
        name = AckLevel.Name(self._level) if self._level else ""
        return name.removeprefix("ACK_LEVEL_").lower()

    @property
    def text(self) -> str:
        """Say how many, and whether they were there before."""
        if self.messages and self.duplicates == self.messages:
            return f"published before: {counted_text(self.messages, 'message')}"
        return f"published {counted_text(self.messages, 'message')}"

    def level_text(self, *, asked: bool) -> str:
        """Return ", persisted"; RECEIVED goes without saying unless it was asked for."""
        return f", {self.level}" if asked or self._level > ACK_LEVEL_RECEIVED else ""

    def json(self) -> dict[str, object]:
        """Return the counts as one object."""
        return {
            "messages": self.messages,
            "payload_bytes": self.payload_bytes,
            "ack_level": self.level,
            "duplicates": self.duplicates,
        }
