"""What one publisher sends: made for the test, or recorded."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol

from bellwire.cli.loadtest.recording_file import RecordedMessage
from bellwire.cli.loadtest.schedule import Schedule
from bellwire.cli.loadtest.stamp import STAMP
from bellwire.client import Message, PublishedRange, Publisher, new_message

__all__ = ["SOURCE", "Load", "RecordedLoad", "StampHead", "SteadyLoad"]

SOURCE: Final = "loadtest/publisher"

StampHead = tuple[int, int, int]
"""Run, level, publisher."""


class Load(Protocol):
    """The messages of one publisher in one level, by their sequence numbers from 0."""

    @property
    def schedule(self) -> Schedule:
        """When each ought to leave."""

    def message(self, sequence: int) -> Message:
        """Return one message."""

    def publish(
        self, publisher: Publisher, first: int, end: int
    ) -> Coroutine[Any, Any, list[PublishedRange]]:
        """Publish messages `first` up to and without `end`, and wait until they are acknowledged."""


class SteadyLoad:
    """Messages of one size."""

    def __init__(
        self, topic: str, schedule: Schedule, head: StampHead, bodies: Sequence[bytes]
    ) -> None:
        self.schedule = schedule
        self._topic = topic
        self._head = head
        self._bodies = bodies

    def message(self, sequence: int) -> Message:
        """Return one message."""
        return new_message(data=self._payload(sequence), source=SOURCE)

    def publish(
        self, publisher: Publisher, first: int, end: int
    ) -> Coroutine[Any, Any, list[PublishedRange]]:
        """Publish a burst."""
        payloads = [self._payload(sequence) for sequence in range(first, end)]
        return publisher.publish_payloads(self._topic, payloads)

    def _payload(self, sequence: int) -> bytes:
        stamp = STAMP.pack(*self._head, sequence, self.schedule.intended_ns(sequence))
        return stamp + self._bodies[sequence % len(self._bodies)]


class RecordedLoad:
    """Messages of a recording, each with a stamp before its payload."""

    def __init__(
        self, topic: str, schedule: Schedule, head: StampHead, messages: Sequence[RecordedMessage]
    ) -> None:
        self.schedule = schedule
        self._topic = topic
        self._head = head
        self._messages = messages

    def message(self, sequence: int) -> Message:
        """Return one message; its id and time are new, as an agent would make them."""
        recorded = self._messages[sequence]
        stamp = STAMP.pack(*self._head, sequence, self.schedule.intended_ns(sequence))
        return new_message(
            data=stamp + recorded.data,
            type=recorded.type,
            key=recorded.key,
            subject=recorded.subject,
            attributes=recorded.attributes,
            source=SOURCE,
        )

    def publish(
        self, publisher: Publisher, first: int, end: int
    ) -> Coroutine[Any, Any, list[PublishedRange]]:
        """Publish a burst."""
        return publisher.publish_many(
            self._topic, [self.message(sequence) for sequence in range(first, end)]
        )
