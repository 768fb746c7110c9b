"""What the conductor of a load test and its workers say to each other; JSON on pipes.

Sequence numbers count the messages of one publisher in one level, from 0. Times are nanoseconds of
CLOCK_MONOTONIC, which is one clock for all processes of a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypedDict

from bellwire.cli.loadtest.histogram import HistogramJson

__all__ = [
    "Begin",
    "Description",
    "Finish",
    "Json",
    "LoadRequest",
    "Publish",
    "Published",
    "Received",
    "Role",
    "Since",
]

Json: TypeAlias = dict[str, object]


class Role(Protocol):
    """What a worker does: it answers commands."""

    async def do(self, command: str, arguments: Json) -> Json:
        """Carry one command out."""


class Description(TypedDict):
    """The first line a worker reads."""

    role: str
    """"publisher" or "subscriber"."""
    index: int
    """Its number among those of its role, from 0."""
    address: str
    client: Json
    """`ClientSettings` as plain values."""
    topic: str
    run: int
    """32 random bits that tell our messages from all others."""
    publishers: int
    payload_bytes: int
    ack_level: str
    overflow_policy: str
    recording: str
    """File; empty = messages are made."""
    messages: int
    """Of the recording, the first so many."""
    messages_max: int
    subscription: str
    """Name; empty = ephemeral."""


class LoadRequest(TypedDict):
    """The load of one level, for all publishers together."""

    start_ns: int
    rate: float
    """Messages per second; of a recording the multiple of its own pace."""
    total: int


class Publish(LoadRequest):
    """Arguments of a publisher's `publish`."""

    level: int
    give_up_ns: int


class Published(TypedDict):
    """A publisher's answer to `publish`."""

    scheduled: int
    sent: int
    acknowledged: int
    failed: Sequence[Sequence[int]]
    """Ranges of sequence numbers that were sent and never acknowledged."""
    error: str
    """Of the first of them."""
    lateness: HistogramJson


class Begin(TypedDict):
    """Arguments of a subscriber's `begin`."""

    level: int
    measure_from_ns: int
    """Latencies count from this intended send time on."""


class Since(TypedDict):
    """A subscriber's answer to `status`: since it was asked before."""

    received: int
    latency: HistogramJson


class Finish(TypedDict):
    """Arguments of a subscriber's `finish`."""

    sent: Sequence[int]
    """Messages of each publisher."""
    expected: int
    """Messages that were acknowledged."""
    quiet_seconds: float
    """Silence after which the rest counts as missing."""


class Received(TypedDict):
    """A subscriber's answer to `finish`."""

    received: int
    measured: int
    """Those of them that arrived after the warm-up."""
    missing: Sequence[Sequence[Sequence[int]]]
    """Ranges of each publisher's messages that never came."""
    given_up: int
    """Messages that never came, of gaps that were too many to keep."""
    duplicates: int
    out_of_order: int
    dropped: int
    last_ns: int
    """Of the last arrival; 0 without one."""
    error: str
    """Why its subscription ended; empty while it goes on."""
    latency: HistogramJson
