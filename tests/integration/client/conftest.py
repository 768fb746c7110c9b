"""A coordinator that does exactly what a test tells it, in memory and over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.bus.v1.message_pb2 import Batch, Position, PositionRange, Window
from bellwire.bus.v1.publisher_pb2 import (
    GetTopicMetadataResponse,
    PublishAck,
    PublishBatches,
    PublishFailure,
    PublishStarted,
    PublishStreamRequest,
    PublishStreamResponse,
)
from bellwire.bus.v1.subscriber_pb2 import (
    SubscribeRequest,
    SubscribeResponse,
    SubscribeStarted,
)
from bellwire.client import BellwireError, Client, ClientSettings
from bellwire.testing._in_memory_channel import InMemoryChannel, InMemoryServer
from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import to_item_error

Conversation = Callable[["Line"], Awaitable[None]]
PRODUCER_ID = 7
WINDOW = Window(messages=100_000, bytes=1 << 30)


class Line:
    """The server's end of one stream."""

    def __init__(self, context: Any, number: int) -> None:
        self.context = context
        self.number = number  # 1 for the first stream of its kind

    async def read(self) -> Any:
        """Return the next frame, heartbeats included; EOF at the end."""
        return await self.context.read()

    async def batches(self) -> PublishBatches | None:
        """Return the next frame of batches; None at the end. Heartbeats are answered."""
        while (request := await self.context.read()) is not grpc.aio.EOF:
            if request.HasField("batches"):
                frame: PublishBatches = request.batches
                return frame
            if request.HasField("heartbeat"):
                await self.write(PublishStreamResponse(heartbeat=request.heartbeat))
        return None

    async def write(self, response: Any) -> None:
        await self.context.write(response)

    async def start_publish(
        self, *, producer_id: int = PRODUCER_ID, window: Window = WINDOW
    ) -> Any:
        """Answer the first frame of a publish stream and return it."""
        start = (await self.read()).start
        started = PublishStarted(producer_id=producer_id, window=window)
        await self.write(PublishStreamResponse(started=started))
        return start

    async def start_subscribe(self, next_offset: int = 0) -> Any:
        """Answer the first frame of a subscribe stream and return it."""
        start = (await self.read()).start
        at = Position(topic="bars", partition=0, offset=next_offset)
        started = SubscribeStarted(lease_id=str(self.number), window=start.window, positions=[at])
        await self.write(SubscribeResponse(started=started))
        return start

    async def acknowledge(self, frame: PublishBatches, first_offset: int = 0) -> int:
        """Acknowledge a whole frame; return the next offset."""
        positions = []
        for batch in frame.batches:
            positions.append(position(batch, first_offset))
            first_offset += batch.header.message_count
        await self.write(
            PublishStreamResponse(
                ack=PublishAck(
                    first_frame_sequence=frame.frame_sequence,
                    last_frame_sequence=frame.frame_sequence,
                    positions=positions,
                )
            )
        )
        return first_offset

    async def refuse(
        self, frame: PublishBatches, index: int, error: BellwireError, message_index: int = -1
    ) -> None:
        """Refuse one batch of a frame."""
        await self.write(
            PublishStreamResponse(
                failure=PublishFailure(
                    frame_sequence=frame.frame_sequence,
                    batch_index=index,
                    message_index=message_index,
                    error=to_item_error(error),
                )
            )
        )

    async def hold(self) -> None:
        """Read and ignore everything until the client ends the stream."""
        while await self.read() is not grpc.aio.EOF:
            pass


def position(batch: Batch, first_offset: int) -> PositionRange:
    return PositionRange(
        topic=batch.header.topic,
        partition=batch.header.partition,
        first_offset=first_offset,
        last_offset=first_offset + batch.header.message_count - 1,
    )


@dataclass
class Script:
    """What the coordinator does, and a maker of clients to do it to."""

    publish: Conversation | None = None
    subscribe: Conversation | None = None
    partitions: int = 1
    streams: dict[str, int] = field(default_factory=lambda: {"publish": 0, "subscribe": 0})
    client: Callable[..., Client] = field(init=False)

    async def _metadata(self, request: Any, _: Any) -> GetTopicMetadataResponse:
        return GetTopicMetadataResponse(topic=request.topic, partition_count=self.partitions)

    def _stream(self, kind: str) -> Callable[[Any, Any], Awaitable[None]]:
        async def serve(_: Any, context: Any) -> None:
            self.streams[kind] += 1
            conversation: Conversation | None = getattr(self, kind)
            assert conversation is not None, f"the script has no {kind} stream"
            await conversation(Line(context, self.streams[kind]))

        return serve

    def serve_on(self, server: grpc.aio.Server) -> None:
        publisher: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "GetTopicMetadata": grpc.unary_unary_rpc_method_handler(
                self._metadata,
                publisher_pb2.GetTopicMetadataRequest.FromString,
                GetTopicMetadataResponse.SerializeToString,
            ),
            "PublishStream": grpc.stream_stream_rpc_method_handler(
                self._stream("publish"),
                PublishStreamRequest.FromString,
                PublishStreamResponse.SerializeToString,
            ),
        }
        subscriber: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Subscribe": grpc.stream_stream_rpc_method_handler(
                self._stream("subscribe"),
                SubscribeRequest.FromString,
                SubscribeResponse.SerializeToString,
            )
        }
        for file, handlers, name in (
            (publisher_pb2, publisher, "PublisherService"),
            (subscriber_pb2, subscriber, "SubscriberService"),
        ):
            full_name = file.DESCRIPTOR.services_by_name[name].full_name
            handler = grpc.method_handlers_generic_handler(full_name, handlers)
            server.add_generic_rpc_handlers((handler,))


class _Pool(ChannelPool):
    def __init__(self, server: InMemoryServer, settings: ClientSettings) -> None:
        super().__init__(Address(path="/script"), settings.transport)
        self._server = server

    def _open(self) -> InMemoryChannel:
        return InMemoryChannel(self._server)


@pytest.fixture(params=["memory", "unix"])
async def script(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Script]:
    """A coordinator to be told what to do; `script.client(settings)` makes a client of it."""
    script = Script()
    if request.param == "memory":
        server = InMemoryServer()
        script.serve_on(server)
        script.client = lambda settings: Client(
            "unix:///script", settings, pool=_Pool(server, settings)
        )
        yield script
        return
    real = grpc.aio.server()
    script.serve_on(real)
    real.add_insecure_port(f"unix:{tmp_path}/script.sock")
    await real.start()
    script.client = lambda settings: Client(f"unix://{tmp_path}/script.sock", settings)
    try:
        yield script
    finally:
        await real.stop(0)
        await asyncio.sleep(0)
