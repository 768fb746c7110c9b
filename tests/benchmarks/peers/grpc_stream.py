"""What a team would write next: a grpc.aio relay, batches in LZ4 on bidirectional streams.

Both sides batch by themselves: while a frame is on its way, messages gather for the next one. The
relay passes frames on as they are and acknowledges each to its publisher; it keeps and numbers
nothing.
"""

import asyncio
import importlib.metadata
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
from tests.benchmarks.peers.peer import Broker, Receiver

SERVICE: Final = "bench.BatchRelay"
PUBLISH: Final = f"/{SERVICE}/Publish"
SUBSCRIBE: Final = f"/{SERVICE}/Subscribe"
BATCH_MESSAGES_MAX: Final = 100  # Where the scenario sets no other.
FRAMES_IN_FLIGHT_MAX: Final = 8  # Not acknowledged; from 2 to 32 nothing changes beyond the noise.
BACKLOG_MESSAGES_MAX: Final = 8_000
STOP_GRACE_SECONDS: Final = 0.5
ACKNOWLEDGED: Final = b"\x01"
LENGTH_BYTES: Final = 4

Stream = grpc.aio.StreamStreamCall[bytes, bytes]
Context = grpc.aio.ServicerContext[bytes, bytes]


def pack(payloads: Sequence[bytes]) -> bytes:
    """Give messages as one LZ4 block, each with its length before it."""
    import lz4.block

    parts = [
        part for each in payloads for part in (len(each).to_bytes(LENGTH_BYTES, "little"), each)
    ]
    packed: bytes = lz4.block.compress(b"".join(parts))
    return packed


def unpack(frame: bytes) -> list[bytes]:
    """Give the messages of a frame."""
    import lz4.block

    data: bytes = lz4.block.decompress(frame)
    payloads, start = [], 0
    while start < len(data):
        begin = start + LENGTH_BYTES
        start = begin + int.from_bytes(data[start:begin], "little")
        payloads.append(data[begin:start])
    return payloads


class BatchRelay:
    """Writes every published frame to each subscriber; without a queue between, there is no hop."""

    def __init__(self) -> None:
        self._subscribers: dict[Context, asyncio.Lock] = {}

    async def publish(self, frames: AsyncIterator[bytes], context: Context) -> None:
        """Take frames; each is acknowledged when it was written to every subscriber."""
        while (frame := await context.read()) is not grpc.aio.EOF:
            for subscriber, lock in list(self._subscribers.items()):
                async with lock:  # gRPC takes one write of a stream at a time.
                    await subscriber.write(frame)
            await context.write(ACKNOWLEDGED)

    async def subscribe(self, requests: AsyncIterator[bytes], context: Context) -> None:
        """Stream every frame from now on; the initial metadata tells that now has begun."""
        self._subscribers[context] = asyncio.Lock()
        try:
            await context.send_initial_metadata(())
            await context.read()  # Nothing comes: it ends when the subscriber leaves.
        finally:
            del self._subscribers[context]

    def handlers(self) -> grpc.GenericRpcHandler:
        """Give the two methods to register with a server; frames are bytes, nothing is parsed."""
        methods = {"Publish": self.publish, "Subscribe": self.subscribe}
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {name: grpc.stream_stream_rpc_method_handler(each) for name, each in methods.items()},
        )


class StreamPublisher:
    """Writes what has gathered as one frame whenever the window has room."""

    def __init__(self, stream: Stream, batch_messages_max: int) -> None:
        self._stream = stream
        self._messages_max = batch_messages_max
        self._waiting: deque[bytes] = deque()
        self._room = asyncio.Semaphore(FRAMES_IN_FLIGHT_MAX)
        self._written = self._acknowledged = 0
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def send(self, payload: bytes) -> None:
        """Hand over one message."""
        self._waiting.append(payload)
        self._changed.set()
        await self._until_room()

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Hand over many messages."""
        self._waiting.extend(payloads)
        self._changed.set()
        await self._until_room()

    async def flush(self) -> None:
        """Wait for every acknowledgement."""
        while self._waiting or self._acknowledged < self._written:
            await self._wait_a_turn()

    async def close(self) -> None:
        """End both tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _until_room(self) -> None:
        while len(self._waiting) >= BACKLOG_MESSAGES_MAX:
            await self._wait_a_turn()

    async def _wait_a_turn(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
                raise ConnectionError("the relay ended the stream")
        await asyncio.sleep(0)

    async def _write(self) -> None:
        waiting = self._waiting
        while True:
            self._changed.clear()
            while waiting:
                await self._room.acquire()
                count = min(len(waiting), self._messages_max)
                self._written += 1
                await self._stream.write(pack([waiting.popleft() for _ in range(count)]))
            await self._changed.wait()

    async def _read(self) -> None:
        while await self._stream.read() is not grpc.aio.EOF:
            self._acknowledged += 1
            self._room.release()


class GrpcStream:
    """grpc.aio over TCP, on uvloop."""

    def missing(self) -> str | None:
        """Never: Bellwire itself needs grpcio and lz4."""
        return None

    def versions(self) -> dict[str, str]:
        """Give the version of grpcio."""
        return {"grpcio": importlib.metadata.version("grpcio")}

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Run the relay on a free port of 127.0.0.1."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((BatchRelay().handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield Broker(f"127.0.0.1:{port}", os.getpid())
        finally:
            await server.stop(STOP_GRACE_SECONDS)

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[StreamPublisher]:
        """Open the stream of a publisher."""
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.channel_ready()
            stream: Stream = channel.stream_stream(PUBLISH)()
            publisher = StreamPublisher(stream, batch_messages_max or BATCH_MESSAGES_MAX)
            try:
                yield publisher
            finally:
                await publisher.close()
                stream.cancel()

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Open the stream of a subscriber and read it frame by frame."""
        async with grpc.aio.insecure_channel(address) as channel:
            stream: Stream = channel.stream_stream(SUBSCRIBE)()
            await stream.initial_metadata()

            async def read() -> None:
                while isinstance(frame := await stream.read(), bytes):  # Else it is EOF.
                    receiver.take_all(unpack(frame))

            reading = asyncio.create_task(read())
            try:
                yield
            finally:
                reading.cancel()
                stream.cancel()
                await asyncio.wait([reading])


GRPC_STREAM: Final = GrpcStream()
