"""What a process saw, one JSON object per line, written down so that killing the process loses none of it.

Lines of several processes are put in order by the machine's monotonic clock, which they share. A line holds
a whole batch, because one line per message would cost more than the messages; `events_of` takes it apart.
"""

from __future__ import annotations

import heapq
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.simulation import events as ev

from bellwire.client import Batch, Message

Line: TypeAlias = dict[str, Any]
SUFFIX: Final = ".jsonl"
CHUNK_BYTES: Final = 1 << 20


def content_of(message: Message) -> str:
    """Return what two copies of a message must have in common."""
    return f"{zlib.crc32(message.data):08x}"


def log_of(topic: str, partition: int) -> str:
    """Return the name of a log in a history."""
    return f"{topic}/{partition}"


class Recorder:
    """Appends lines to a file of its own.

    Each line is handed to the kernel at once: it is there after `kill -9`, whole or not at all.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.stem
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(self, kind: str, **fields: object) -> int:
        """Write a line down; return its time, monotonic nanoseconds."""
        at = time.monotonic_ns()
        line = json.dumps({"at": at, "kind": kind, **fields}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")
        return at

    def published(
        self, topic: str, producer: str, sequence: int, messages: Sequence[Message]
    ) -> None:
        """Note messages that are about to be published, the first of them with this sequence."""
        found = [(message.id, content_of(message)) for message in messages]
        fields = {"topic": topic, "producer": producer, "sequence": sequence}
        self.note("published", **fields, messages=found)

    def acknowledged(self, topic: str, partition: int, places: Sequence[tuple[str, int]]) -> None:
        """Note (id, offset) of messages the coordinator said are stored."""
        where = {"topic": topic, "partition": partition}
        self.note("acknowledged", publisher=self._name, **where, places=places)

    def delivered(self, subscription: str, member: str, batch: Batch) -> None:
        """Note a delivery, before anything is done with it."""
        self.note(
            "delivered",
            subscription=subscription,
            member=member,
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.first_offset,
            attempt=batch.attempt,
            messages=[(message.id, content_of(message)) for message in batch.messages],
        )

    def settled(
        self, subscription: str, member: str, batch: Batch, indexes: range, disposition: str
    ) -> None:
        """Note that the work on messages of a batch is over, before the coordinator is told."""
        self.note(
            "settled",
            subscription=subscription,
            member=member,
            topic=batch.topic,
            partition=batch.partition,
            offset=batch.first_offset + indexes.start,
            count=len(indexes),
            disposition=disposition,
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Follower:
    """Reads the lines that were added to a recording since it was last asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def new_lines(self) -> list[Line]:
        """Return the lines that are complete by now."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            found = file.read()
        self._at += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        return [json.loads(line) for line in lines]


def read(path: Path) -> Iterator[Line]:
    """Yield the complete lines of a recording."""
    with path.open("rb", CHUNK_BYTES) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def read_all(folder: Path) -> Iterator[Line]:
    """Yield the lines of all recordings of a folder in the order they were written."""
    recordings: Iterable[Iterator[Line]] = (read(path) for path in folder.glob(f"*{SUFFIX}"))
    return heapq.merge(*recordings, key=lambda line: line["at"])


def events_of(line: Line) -> Iterator[ev.Event]:
    """Yield what a line says in the words of the history checker; nothing for lines about processes."""
    take = _TAKERS.get(line["kind"])
    if take is not None:
        yield from take(line)


def _published(line: Line) -> Iterator[ev.Event]:
    topic, producer, first = line["topic"], line["producer"], line["sequence"]
    for sequence, (id_, content) in enumerate(line["messages"], first):
        yield ev.Published(id_, topic, producer, sequence, content)


def _acknowledged(line: Line) -> Iterator[ev.Event]:
    log = log_of(line["topic"], line["partition"])
    for id_, offset in line["places"]:
        yield ev.Acknowledged(id_, line["topic"], log, offset)


def _subscribed(line: Line) -> Iterator[ev.Event]:
    yield ev.Subscribed(line["subscription"], tuple(line["topics"]), line["ordered"])


def _delivered(line: Line) -> Iterator[ev.Event]:
    log = log_of(line["topic"], line["partition"])
    who = (line["subscription"], line["member"])
    for offset, (id_, content) in enumerate(line["messages"], line["offset"]):
        yield ev.Delivered(*who, id_, line["topic"], log, offset, line["attempt"], content)


def _settled(line: Line) -> Iterator[ev.Event]:
    log = log_of(line["topic"], line["partition"])
    who = (line["subscription"], line["member"])
    for offset in range(line["offset"], line["offset"] + line["count"]):
        yield ev.Settled(*who, log, offset, line["disposition"])


def _dead_lettered(line: Line) -> Iterator[ev.Event]:
    log = log_of(line["topic"], line["partition"])
    yield ev.DeadLettered(line["subscription"], log, line["offset"])


_TAKERS: Final = {
    "published": _published,
    "acknowledged": _acknowledged,
    "subscribed": _subscribed,
    "delivered": _delivered,
    "settled": _settled,
    "dead_lettered": _dead_lettered,
}
