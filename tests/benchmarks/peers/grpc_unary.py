"""What teams build first: a grpc.aio relay, unary Publish in, server-streaming Subscribe out."""

import asyncio
import importlib.metadata
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue
from tests.benchmarks.peers.peer import Broker, Receiver

SERVICE: Final = "bench.Relay"
PUBLISH: Final = f"/{SERVICE}/Publish"
SUBSCRIBE: Final = f"/{SERVICE}/Subscribe"
# Calls open at once: from 8 to 64 the throughput is the same, and the latency grows with it.
CALLS_IN_FLIGHT_MAX: Final = 16
QUEUE_MESSAGES_MAX: Final = 10_000  # Per subscriber; a full queue holds the publisher back.
STOP_GRACE_SECONDS: Final = 0.5

PublishCall = grpc.aio.UnaryUnaryMultiCallable[BytesValue, Empty]


class Relay:
    """Copies every published message into the queue of each subscriber."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[BytesValue]] = set()

    async def publish(
        self, request: BytesValue, context: grpc.aio.ServicerContext[BytesValue, Empty]
    ) -> Empty:
        """Take one message; answered when every subscriber's queue holds it."""
        for queue in self._queues:
            await queue.put(request)
        return Empty()

    async def subscribe(
        self, request: Empty, context: grpc.aio.ServicerContext[Empty, BytesValue]
    ) -> AsyncIterator[BytesValue]:
        """Stream every message from now on; the initial metadata tells that now has begun."""
        queue: asyncio.Queue[BytesValue] = asyncio.Queue(QUEUE_MESSAGES_MAX)
        self._queues.add(queue)
        try:
            await context.send_initial_metadata(())
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Give the two methods to register with a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Publish": grpc.unary_unary_rpc_method_handler(
                    self.publish, BytesValue.FromString, Empty.SerializeToString
                ),
                "Subscribe": grpc.unary_stream_rpc_method_handler(
                    self.subscribe, Empty.FromString, BytesValue.SerializeToString
                ),
            },
        )


class UnaryPublisher:
    """One unary call per message, a bounded number of them in flight."""

    def __init__(self, call: PublishCall) -> None:
        self._call = call
        self._room = asyncio.Semaphore(CALLS_IN_FLIGHT_MAX)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def send(self, payload: bytes) -> None:
        """Start one call; waits while too many are in flight."""
        await self._room.acquire()
        task = asyncio.create_task(self._publish(payload))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Start one call for each."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Wait for the calls in flight."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        if self._failure is not None:
            raise self._failure

    async def _publish(self, payload: bytes) -> None:
        try:
            await self._call(BytesValue(value=payload))
        except grpc.aio.AioRpcError as error:
            self._failure = self._failure or error
        finally:
            self._room.release()


class GrpcUnary:
    """Plain grpc.aio over TCP, on uvloop."""

    def missing(self) -> str | None:
        """Never: Bellwire itself needs grpcio."""
        return None

    def versions(self) -> dict[str, str]:
        """Give the version of grpcio."""
        return {"grpcio": importlib.metadata.version("grpcio")}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run the relay on a free port of 127.0.0.1."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((Relay().handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield Broker(f"127.0.0.1:{port}", os.getpid())
        finally:
            await server.stop(STOP_GRACE_SECONDS)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[UnaryPublisher]:
        """Connect a publisher."""
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
            call: PublishCall = channel.unary_unary(
                PUBLISH,
                request_serializer=BytesValue.SerializeToString,
                response_deserializer=Empty.FromString,
            )
            yield UnaryPublisher(call)

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Open the stream and read it message by message."""
        async with grpc.aio.insecure_channel(address) as channel:
            subscribe = channel.unary_stream(
                SUBSCRIBE,
                request_serializer=Empty.SerializeToString,
                response_deserializer=BytesValue.FromString,
            )
            call = subscribe(Empty())
            await call.initial_metadata()

            async def read() -> None:
                async for message in call:
                    receiver.take(message.value)

            reading = asyncio.create_task(read())
            try:
                yield
            finally:
                reading.cancel()
                call.cancel()
                await asyncio.wait([reading])


GRPC_UNARY: Final = GrpcUnary()
