"""What went over the bus during a run, in the order each partition holds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message as ProtobufMessage

from bellwire.bus.v1.message_pb2 import Message
from bellwire.cli.payload import protobuf_of

__all__ = ["Recorded", "Recording"]

P = TypeVar("P", bound=ProtobufMessage)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message where it stood."""

    topic: str
    partition: int
    offset: int
    message: Message
    payload: ProtobufMessage | None  # None = a type the contract does not know

    @property
    def position(self) -> tuple[str, int, int]:
        """Sorts a recording the same way in every run."""
        return self.topic, self.partition, self.offset


@dataclass(slots=True)
class Recording:
    """All messages of a run."""

    messages: list[Recorded] = field(default_factory=list)

    def add(
        self, topic: str, partition: int, first_offset: int, group: Iterable[Message]
    ) -> list[Recorded]:
        """Append the messages of one delivery and return them."""
        added = [
            Recorded(
                topic,
                partition,
                first_offset + index,
                message,
                protobuf_of(message.type, message.data),
            )
            for index, message in enumerate(group)
        ]
        self.messages.extend(added)
        return added

    def of(self, cls: type[P]) -> Iterator[tuple[Recorded, P]]:
        """Iterate the messages with a payload of that class, by position."""
        for recorded in sorted(self.messages, key=lambda r: r.position):
            if isinstance(recorded.payload, cls):
                yield recorded, recorded.payload

    def by_id(self) -> dict[str, Recorded]:
        """Return the messages by their id."""
        return {recorded.message.id: recorded for recorded in self.messages}
