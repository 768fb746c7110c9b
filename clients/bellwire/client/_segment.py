"""Messages on their way out: as the caller gave them, and as batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from bellwire.bus.v1.message_pb2 import Batch, Message
from bellwire.wire.payload_run import PayloadRun, PayloadRuns

if TYPE_CHECKING:
    from bellwire.client._lane import Lane

ENVELOPE_BYTES: Final = 160  # Id, source, type, key, times and trace context of a typical message.
RUN_MESSAGES_MIN: Final = 4  # On average; shorter runs are encoded sooner as messages.


class Ticket(Protocol):
    """Who waits for messages; an `asyncio.Future` is one."""

    def done(self) -> bool:
        """Tell whether nobody waits any more: cancelled, timed out or failed."""


class Segment:
    """Consecutive messages of one caller for one partition; never mixed with another caller's."""

    __slots__ = ("generation", "messages", "size_bytes", "ticket")

    def __init__(
        self, messages: Sequence[Message], size_bytes: int, ticket: Ticket, generation: int = 0
    ) -> None:
        self.messages = messages
        self.size_bytes = size_bytes
        self.ticket = ticket
        self.generation = generation

    def split(self, count: int) -> tuple[Segment, Segment]:
        """Return the first `count` messages and the rest."""
        head, tail = self.messages[:count], self.messages[count:]
        head_bytes = estimated_bytes(head)
        return (
            Segment(head, head_bytes, self.ticket, self.generation),
            Segment(tail, self.size_bytes - head_bytes, self.ticket, self.generation),
        )


def estimated_bytes(messages: Sequence[Message]) -> int:
    """Return about what the messages weigh; the exact size is known only once they are encoded."""
    if isinstance(messages, PayloadRun):
        payload_bytes = messages.payload_bytes
    else:
        payload_bytes = sum([len(message.data) for message in messages])
    return payload_bytes + ENVELOPE_BYTES * len(messages)


class OutBatch:
    """Segments that travel as one batch.

    Attributes:
        lane: Where it belongs.
        segments: What it is made of, in order.
        batch: The encoded batch; None until it is (or must again be) encoded.
        base_sequence: Producer sequence it was last sent with; orders it among its lane's batches.
        tries: Times it was sent.
        fixed: True when it may have been appended already: it must be sent again exactly as it was.
        direct_routes: Over which it went to subscribers as a part of a batch that was cut since.
    """

    __slots__ = (
        "base_sequence",
        "batch",
        "count",
        "direct_routes",
        "fixed",
        "lane",
        "segments",
        "size_bytes",
        "tries",
    )

    def __init__(
        self,
        lane: Lane,
        segments: list[Segment],
        base_sequence: int = 0,
        direct_routes: Sequence[int] = (),
    ) -> None:
        self.lane = lane
        self.segments = segments
        self.count = sum([len(segment.messages) for segment in segments])
        self.batch: Batch | None = None
        self.size_bytes = 0
        self.base_sequence = base_sequence
        self.tries = 0
        self.fixed = False
        self.direct_routes = direct_routes

    def cut(self, segments: list[Segment]) -> OutBatch:
        """Return some of its segments as a batch that is still known to those who have it."""
        routes = () if self.batch is None else tuple(self.batch.header.direct_routes)
        return OutBatch(self.lane, segments, self.base_sequence, routes)

    def messages(self) -> Sequence[Message]:
        """Return all messages in order."""
        if len(self.segments) == 1:
            return self.segments[0].messages
        if self.count >= RUN_MESSAGES_MIN * len(self.segments):
            runs = [
                each.messages for each in self.segments if isinstance(each.messages, PayloadRun)
            ]
            if len(runs) == len(self.segments):
                return PayloadRuns(runs)
        return [message for segment in self.segments for message in segment.messages]

    def abandoned(self) -> bool:
        """Tell whether nobody waits for any part of it."""
        return all(segment.ticket.done() for segment in self.segments)

    def halves(self) -> tuple[OutBatch, OutBatch]:
        """Return two batches of about half the messages each; at least two messages are needed."""
        left, rest = self.count // 2, list(self.segments)
        first: list[Segment] = []
        while left:
            segment = rest.pop(0)
            if len(segment.messages) > left:
                segment, tail = segment.split(left)
                rest.insert(0, tail)
            first.append(segment)
            left -= len(segment.messages)
        return self.cut(first), self.cut(rest)

    def without_message(self, index: int) -> tuple[Segment, list[Segment]]:
        """Return the segment that holds the message at `index`, and the others in order."""
        for at, segment in enumerate(self.segments):
            if index < len(segment.messages):
                return segment, self.segments[:at] + self.segments[at + 1 :]
            index -= len(segment.messages)
        raise IndexError(index)
