"""Peers of a coordinator made of raw frames, so that the server is tested by itself.

Every wait has a deadline; a peer that hears nothing in time fails its test instead of hanging it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import grpc

from bellwire.admin.v1 import (
    dead_letter_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    topic_pb2,
    topic_pb2_grpc,
)
from bellwire.agent.v1 import agent_pb2, agent_pb2_grpc, invocation_pb2_grpc
from bellwire.bus.v1 import publisher_pb2, publisher_pb2_grpc, subscriber_pb2, subscriber_pb2_grpc
from bellwire.bus.v1.message_pb2 import CODEC_LZ4_BLOCK, CODEC_NONE, Batch, Message, Window
from bellwire.mcp.v1 import mcp_pb2_grpc
from bellwire.transport.address import parse_address
from bellwire.transport.status import error_from_rpc
from bellwire.wire.batch import BLOCK_BYTES_MAX, BatchLimits, encode_batch, open_batch
from bellwire.wire.errors import BellwireError
from bellwire.wire.message import new_message

T = TypeVar("T")
DEADLINE_SECONDS: Final = 10.0
TOPIC: Final = "bars.1h"
ACCEPT: Final = subscriber_pb2.DISPOSITION_ACCEPT
WIDE: Final = Window(messages=100_000, bytes=64 << 20)
BOTH_CODECS: Final = (CODEC_NONE, CODEC_LZ4_BLOCK)
CHANNEL_OPTIONS: Final = (
    ("grpc.use_local_subchannel_pool", 1),  # A connection of its own for each channel.
    ("grpc.enable_http_proxy", 0),
)


class Stubs:
    """Every service of the contract over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.publisher = publisher_pb2_grpc.PublisherServiceStub(channel)
        self.subscriber = subscriber_pb2_grpc.SubscriberServiceStub(channel)
        self.agents = agent_pb2_grpc.AgentServiceStub(channel)
        self.invocation = invocation_pb2_grpc.InvocationServiceStub(channel)
        self.mcp = mcp_pb2_grpc.McpServiceStub(channel)
        self.topics = topic_pb2_grpc.TopicServiceStub(channel)
        self.server = server_pb2_grpc.ServerServiceStub(channel)
        self.dead_letters = dead_letter_pb2_grpc.DeadLetterServiceStub(channel)

    async def create_topic(self, name: str = TOPIC, **settings: Any) -> topic_pb2.Topic:
        """Create a topic."""
        request = topic_pb2.CreateTopicRequest(topic=topic_pb2.Topic(name=name, **settings))
        return (await within(self.topics.CreateTopic(request))).topic

    async def publish(self, *data: bytes, topic: str = TOPIC, key: str = "") -> list[int]:
        """Publish plain messages of one key; return their offsets."""
        request = publisher_pb2.PublishRequest(
            topic=topic, messages=[Message(data=item, key=key) for item in data]
        )
        response = await within(self.publisher.Publish(request))
        return [
            offset
            for place in response.positions
            for offset in range(place.first_offset, place.last_offset + 1)
        ]

    async def pull(
        self, subscription: str = "inspect", **fields: Any
    ) -> subscriber_pb2.PullResponse:
        """Pull from a subscription of the topic, waiting for the first message."""
        fields = {"topics": [TOPIC], "wait_millis": 5_000, **fields}
        return await within(
            self.subscriber.Pull(subscriber_pb2.PullRequest(subscription=subscription, **fields))
        )

    async def stats(self, topic: str = TOPIC) -> topic_pb2.GetTopicStatsResponse:
        """Counters of a topic."""
        return await within(self.topics.GetTopicStats(topic_pb2.GetTopicStatsRequest(name=topic)))

    async def info(self) -> server_pb2.GetServerInfoResponse:
        """What the server tells of itself."""
        return await within(self.server.GetServerInfo(server_pb2.GetServerInfoRequest()))


@asynccontextmanager
async def dial(address: str) -> AsyncIterator[Stubs]:
    """A connection of its own to a coordinator."""
    target = parse_address(address).target
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        yield Stubs(channel)


async def within(what: Awaitable[T], seconds: float = DEADLINE_SECONDS) -> T:
    """The result of what must not take longer."""
    async with asyncio.timeout(seconds):
        return await what


async def refusal(what: Awaitable[Any]) -> BellwireError:
    """The error an RPC must end with."""
    try:
        answer = await within(what)
    except grpc.aio.AioRpcError as error:
        return error_from_rpc(error)
    raise AssertionError(f"it was not refused: {answer}")


async def eventually(
    probe: Callable[[], Awaitable[T]],
    holds: Callable[[T], object],
    seconds: float = DEADLINE_SECONDS,
) -> T:
    """Ask again and again until the answer is as awaited; return it."""
    async with asyncio.timeout(seconds):
        while not holds(answer := await probe()):
            pass
    return answer


class Duplex:
    """One bidirectional stream, frame by frame."""

    def __init__(self, call: Any, request_type: type[Any]) -> None:
        self.call = call
        self._request = request_type
        self._writing = asyncio.Lock()  # gRPC takes one write at a time.

    async def send(self, **arm: Any) -> None:
        """Send a frame with one arm; several may send at once."""
        async with self._writing:
            await within(self.call.write(self._request(**arm)))

    async def read(self) -> Any:
        """The next frame; EOF when the server ended the stream well."""
        return await within(self.call.read())

    async def read_arm(self, arm: str) -> Any:
        """The next frame that is no heartbeat, which must have this arm."""
        while True:
            frame = await self.read()
            assert frame is not grpc.aio.EOF, f"stream ended, {arm} was awaited"
            found = frame.WhichOneof("frame")
            if found == "heartbeat" and arm != "heartbeat":
                continue
            assert found == arm, f"{arm} was awaited, came {frame}"
            return getattr(frame, arm)

    async def ended_with(self) -> BellwireError:
        """The error the stream must end with; frames before it are skipped."""

        async def drained() -> Any:
            while await self.call.read() is not grpc.aio.EOF:
                pass
            # EOF alone does not tell how it ended.
            code = await self.call.code()
            if code is grpc.StatusCode.OK:
                return "the end of the stream"
            raise grpc.aio.AioRpcError(
                code,
                await self.call.initial_metadata(),
                await self.call.trailing_metadata(),
                await self.call.details(),
            )

        return await refusal(drained())

    async def finish(self) -> None:
        """Close our side and see the server close its own, without an error."""
        await within(self.call.done_writing())
        while await self.read() is not grpc.aio.EOF:
            pass
        assert await within(self.call.code()) is grpc.StatusCode.OK

    def cancel(self) -> None:
        """Drop the stream as a crashed client would."""
        self.call.cancel()


class PublishStream(Duplex):
    """A publisher that has been answered `started`."""

    def __init__(self, stubs: Stubs) -> None:
        super().__init__(stubs.publisher.PublishStream(), publisher_pb2.PublishStreamRequest)
        self.started = publisher_pb2.PublishStarted()
        self.frame = 0

    async def open(self, **start: Any) -> PublishStream:
        """Send `start` and read `started`."""
        await self.send(start=publisher_pb2.PublishStart(**start))
        self.started = await self.read_arm("started")
        return self

    async def publish(self, *batches: Batch, **fields: Any) -> int:
        """Send one frame; return its sequence."""
        self.frame += 1
        await self.send(
            batches=publisher_pb2.PublishBatches(
                frame_sequence=self.frame, batches=batches, **fields
            )
        )
        return self.frame

    async def acknowledged(self, frame: int) -> list[Any]:
        """The positions of all acknowledgements up to a frame; none may be refused."""
        positions: list[Any] = []
        while True:
            ack = await self.read_arm("ack")
            positions += ack.positions
            if ack.last_frame_sequence >= frame:
                return positions


class SubscribeStream(Duplex):
    """A subscriber that has been answered `started`."""

    def __init__(self, stubs: Stubs) -> None:
        super().__init__(stubs.subscriber.Subscribe(), subscriber_pb2.SubscribeRequest)
        self.started = subscriber_pb2.SubscribeStarted()

    async def open(self, subscription: str = "", **start: Any) -> SubscribeStream:
        """Send `start` and read `started`."""
        start = {"topics": [TOPIC], "window": WIDE, "accepted_codecs": BOTH_CODECS, **start}
        await self.send(start=subscriber_pb2.SubscribeStart(subscription=subscription, **start))
        self.started = await self.read_arm("started")
        return self

    async def delivery(self) -> Any:
        """The next delivery."""
        return await self.read_arm("delivery")

    async def data(self, count: int) -> list[bytes]:
        """The payloads of the next messages, exactly so many, each accepted as it comes."""
        read: list[bytes] = []
        while len(read) < count:
            delivery = await self.delivery()
            read += payloads([delivery])
            await self.settle(delivery)
        assert len(read) == count
        return read

    async def settle(self, delivery: Any, disposition: Any = ACCEPT, **fields: Any) -> None:
        """End all of a delivery."""
        first = delivery.first_delivery_tag
        await self.settle_tags(
            first, first + delivery.batch.header.message_count - 1, disposition, **fields
        )

    async def settle_tags(
        self, first: int, last: int, disposition: Any = ACCEPT, **fields: Any
    ) -> None:
        """End the deliveries of a range of tags."""
        item = subscriber_pb2.Settlement(
            first_tag=first, last_tag=last, disposition=disposition, **fields
        )
        await self.send(settle=subscriber_pb2.Settle(settlements=[item]))


class AgentStream(Duplex):
    """An agent that has been answered `registered`."""

    def __init__(self, stubs: Stubs) -> None:
        super().__init__(stubs.agents.Connect(), agent_pb2.ConnectRequest)
        self.registered = agent_pb2.Registered()

    async def open(
        self, agent_id: str, *tools: str, lease_millis: int = 0, **fields: Any
    ) -> AgentStream:
        """Register with these tools."""
        capabilities = [
            agent_pb2.Capability(name=name, kind=agent_pb2.CAPABILITY_KIND_TOOL) for name in tools
        ]
        agent = agent_pb2.Agent(agent_id=agent_id, capabilities=capabilities, **fields)
        await self.send(register=agent_pb2.Register(agent=agent, lease_millis=lease_millis))
        self.registered = await self.read_arm("registered")
        return self

    async def next_call(self) -> Any:
        """The next call."""
        return await self.read_arm("call")

    async def answer(self, call: Any, result: bytes = b"{}", **fields: Any) -> None:
        """End a call with a result."""
        await self.send(result=agent_pb2.CallResult(call_id=call.call_id, result=result, **fields))


def batch(
    *data: bytes, topic: str = TOPIC, partition: int = 0, key: str = "", **fields: int
) -> Batch:
    """An honest batch."""
    messages = [new_message(data=item, key=key) for item in data]
    return encode_batch(topic, partition, messages, **fields)


def payloads(deliveries: Sequence[Any]) -> list[bytes]:
    """The payloads of deliveries in order."""
    return [
        message.data
        for delivery in deliveries
        for message in open_batch(delivery.batch, BatchLimits(bytes_max=BLOCK_BYTES_MAX))
    ]
