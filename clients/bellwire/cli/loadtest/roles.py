"""Connects a worker to the coordinator, as a publisher or as a subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.bus.v1.subscriber_pb2 import OverflowPolicy
from bellwire.cli.loadtest.in_flight import InFlight
from bellwire.cli.loadtest.load import SOURCE, Load, RecordedLoad, SteadyLoad
from bellwire.cli.loadtest.payload import bodies
from bellwire.cli.loadtest.protocol import Description, LoadRequest, Role
from bellwire.cli.loadtest.publisher_role import PublisherRole, in_flight_max
from bellwire.cli.loadtest.recording_file import offsets_of, read_recording, share_of
from bellwire.cli.loadtest.schedule import EvenSchedule, RecordedSchedule
from bellwire.cli.loadtest.subscriber_role import SubscriberRole
from bellwire.client import (
    LATEST,
    BellwireError,
    Client,
    ClientSettings,
    Subscription,
    connect,
)
from bellwire.runtime.child import from_plain

__all__ = ["open_role"]


@asynccontextmanager
async def open_role(
    description: Description,
) -> AsyncIterator[Role]:
    """Connect and give the role that is described."""
    settings = from_plain(ClientSettings, description["client"])
    async with connect(description["address"], settings=settings) as client:
        if description["role"] == "publisher":
            yield await _publisher(client, description)
            return
        async with _subscriber(client, description) as role:
            yield role


async def _publisher(client: Client, about: Description) -> PublisherRole:
    publisher = client.publisher(
        f"{SOURCE}-{about['index']}", ack_level=AckLevel.Value(about["ack_level"])
    )
    await publisher.ready()
    maker = _Recorded(about) if about["recording"] else _Steady(about)
    messages_max = in_flight_max(client.settings.publish, maker.message_bytes_max)
    return PublisherRole(
        publisher,
        about["topic"],
        maker.load,
        InFlight(messages_max),
        settle_seconds_max=client.settings.timeout_seconds,
    )


class _Steady:
    def __init__(self, about: Description) -> None:
        self._about = about
        self._bodies = bodies(about["payload_bytes"])
        self.message_bytes_max = about["payload_bytes"]

    def load(self, level: int, request: LoadRequest) -> Load:
        about = self._about
        schedule = EvenSchedule(
            start_ns=request["start_ns"],
            rate_per_second=round(request["rate"]),
            total=request["total"],
            first=about["index"],
            every=about["publishers"],
        )
        head = (about["run"], level, about["index"])
        return SteadyLoad(about["topic"], schedule, head, self._bodies)


class _Recorded:
    def __init__(self, about: Description) -> None:
        self._about = about
        messages = read_recording(Path(about["recording"]), about["messages_max"])
        begin_ns = messages[0].time_ns
        self._messages = share_of(
            messages[: about["messages"]], about["index"], about["publishers"]
        )
        self._offsets_ns = offsets_of(self._messages, begin_ns)
        self.message_bytes_max = max((message.size_bytes for message in self._messages), default=0)

    def load(self, level: int, request: LoadRequest) -> Load:
        about = self._about
        schedule = RecordedSchedule(request["start_ns"], self._offsets_ns, request["rate"])
        head = (about["run"], level, about["index"])
        return RecordedLoad(about["topic"], schedule, head, self._messages)


@asynccontextmanager
async def _subscriber(client: Client, about: Description) -> AsyncIterator[SubscriberRole]:
    subscription = client.subscribe(
        about["topic"],
        subscription=about["subscription"],
        start=LATEST,
        overflow_policy=OverflowPolicy.Value(about["overflow_policy"]),
    )
    role = SubscriberRole(about["run"], about["publishers"], lambda: subscription.dropped_messages)
    async with subscription:
        reading = asyncio.create_task(_read(subscription, role))
        try:
            yield role
        finally:
            reading.cancel()
            await asyncio.wait([reading])


async def _read(subscription: Subscription, role: SubscriberRole) -> None:
    try:
        async for batch in subscription.batches():
            role.take(batch)
    except BellwireError as error:
        role.end(error.message)
    else:
        role.end("the coordinator ended it")
