"""The floors: bare transports with nothing of a bus on them, by the same harness.

`BELLWIRE_BENCH_FLOOR_BYTES` pads each frame, so that a floor can carry what a batch weighs.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from struct import Struct
from typing import Final

import grpc
from tests.benchmarks.payload import PAYLOAD_BYTES
from tests.benchmarks.peers.peer import Broker, Receiver

PAD_VARIABLE: Final = "BELLWIRE_BENCH_FLOOR_BYTES"
LENGTH: Final = Struct("<I")
SUBSCRIBER: Final = b"s"  # The first byte of a connection says who it is.
PUBLISHER: Final = b"p"
METHOD: Final = "/bench.Raw/Stream"
QUEUE_FRAMES_MAX: Final = 10_000  # A publisher further ahead waits.
STOP_GRACE_SECONDS: Final = 0.2


def padding() -> bytes:
    """Give what follows each payload."""
    return bytes(max(0, int(os.environ.get(PAD_VARIABLE, "0")) - PAYLOAD_BYTES))


class Frames(asyncio.Protocol):
    """Length-prefixed frames; whole ones go to `on_frame` from within `data_received`."""

    def __init__(self, on_frame: Callable[["Frames", bytes], None]) -> None:
        self._on_frame = on_frame
        self._buffer = bytearray()
        self._room: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; uvloop's is none by class."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Cut what came into frames."""
        self._buffer += data
        buffer, start = self._buffer, 0
        while len(buffer) - start >= LENGTH.size:
            stop = start + LENGTH.size + LENGTH.unpack_from(buffer, start)[0]
            if stop > len(buffer):
                break
            self._on_frame(self, bytes(buffer[start + LENGTH.size : stop]))
            start = stop
        del buffer[:start]

    def pause_writing(self) -> None:
        """Hold the sender back."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Let it go on."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def send(self, frame: bytes) -> None:
        """Send a frame at once."""
        assert self.transport is not None
        self.transport.write(LENGTH.pack(len(frame)) + frame)

    async def room(self) -> None:
        """Wait until the peer has taken enough."""
        if self._room is not None:
            await self._room


class RawPublisher:
    """Sends payload by payload."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._padding = padding()

    async def send(self, payload: bytes) -> None:
        """Send one."""
        await self._send(payload + self._padding)

    async def send_many(self, payloads: Sequence[bytes]) -> None:
        """Send them one after another."""
        for payload in payloads:
            await self.send(payload)

    async def flush(self) -> None:
        """Return at once: nothing is acknowledged here."""


def keep_polling(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop never wait in the kernel, as long as it runs."""
    loop.call_soon(keep_polling, loop)


class _Raw:
    def missing(self) -> str | None:
        """Never: Bellwire itself needs what this needs."""
        return None

    def versions(self) -> dict[str, str]:
        """Give nothing: the versions common to all say it."""
        return {}


class RawUnix(_Raw):
    """A Unix socket from publisher to subscriber, or to a process that passes every frame on.

    A subscriber that polls never sleeps: it asks the socket again and again, and takes a core for it.
    """

    def __init__(self, *, relayed: bool, polls: bool = False) -> None:
        self._relayed = relayed
        self._polls = polls

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Pass frames on; without a relay only name the path."""
        path = f"{directory}/raw.sock"
        if not self._relayed:
            yield Broker(path, os.getpid())
            return
        subscribers: set[Frames] = set()

        def pass_on(connection: Frames, frame: bytes) -> None:
            if frame == SUBSCRIBER:
                subscribers.add(connection)
                connection.send(SUBSCRIBER)
            for subscriber in subscribers if frame != SUBSCRIBER else ():
                subscriber.send(frame)

        loop = asyncio.get_running_loop()
        async with await loop.create_unix_server(lambda: Frames(pass_on), path):
            yield Broker(path, os.getpid())

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Connect to the relay, or be the one that is connected to."""
        loop = asyncio.get_running_loop()
        if self._polls:
            keep_polling(loop)
        known = loop.create_future()

        def take(_: Frames, frame: bytes) -> None:
            if frame != SUBSCRIBER:
                receiver.take(frame)
            elif not known.done():
                known.set_result(None)

        if not self._relayed:
            async with await loop.create_unix_server(lambda: Frames(take), address):
                yield
            return
        _, connection = await loop.create_unix_connection(lambda: Frames(take), address)
        connection.send(SUBSCRIBER)
        await known
        yield

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[RawPublisher]:
        """Connect."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(lambda: Frames(lambda *_: None), address)

        async def send(frame: bytes) -> None:
            connection.send(frame)
            await connection.room()

        yield RawPublisher(send)


class RawGrpc(_Raw):
    """A grpc.aio stream of bytes over a Unix socket, direct or through a third process."""

    def __init__(self, *, relayed: bool) -> None:
        self._relayed = relayed

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Broker]:
        """Pass frames on; without a relay only name the path."""
        address = f"unix:{directory}/raw.sock"
        if not self._relayed:
            yield Broker(address, os.getpid())
            return
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_FRAMES_MAX)

        async def stream(_: object, context: "Context") -> None:
            await context.send_initial_metadata(())
            if await context.read() == PUBLISHER:
                async for frame in _frames(context):
                    await queue.put(frame)
                return
            while True:
                await context.write(await queue.get())

        async with _serving(stream, address):
            yield Broker(address, os.getpid())

    @asynccontextmanager
    async def subscriber(self, address: str, receiver: Receiver) -> AsyncIterator[None]:
        """Read the stream of the relay, or be the one that is connected to."""
        if not self._relayed:

            async def stream(_: object, context: "Context") -> None:
                await context.send_initial_metadata(())
                await context.read()
                async for frame in _frames(context):
                    receiver.take(frame)

            async with _serving(stream, address):
                yield
            return
        async with _stream(address, SUBSCRIBER) as call:

            async def read() -> None:
                async for frame in _frames(call):
                    receiver.take(frame)

            reading = asyncio.create_task(read())
            try:
                yield
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    @asynccontextmanager
    async def publisher(
        self, address: str, *, batch_messages_max: int | None
    ) -> AsyncIterator[RawPublisher]:
        """Connect."""
        async with _stream(address, PUBLISHER) as call:
            yield RawPublisher(call.write)


Context = grpc.aio.ServicerContext[bytes, bytes]
Reader = Context | grpc.aio.StreamStreamCall[bytes, bytes]


async def _frames(stream: Reader) -> AsyncIterator[bytes]:
    """Read until the peer ends the stream."""
    while isinstance(frame := await stream.read(), bytes):
        yield frame


@asynccontextmanager
async def _serving(
    stream: Callable[[object, Context], Awaitable[None]], address: str
) -> AsyncIterator[None]:
    handler = grpc.stream_stream_rpc_method_handler(stream)
    server = grpc.aio.server()
    service, method = METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(STOP_GRACE_SECONDS)


@asynccontextmanager
async def _stream(
    address: str, who: bytes
) -> AsyncIterator["grpc.aio.StreamStreamCall[bytes, bytes]"]:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(METHOD)()
        await call.initial_metadata()
        await call.write(who)
        try:
            yield call
        finally:
            call.cancel()


UNIX_DIRECT: Final = RawUnix(relayed=False)
UNIX_POLLED: Final = RawUnix(relayed=False, polls=True)
UNIX_RELAYED: Final = RawUnix(relayed=True)
GRPC_DIRECT: Final = RawGrpc(relayed=False)
GRPC_RELAYED: Final = RawGrpc(relayed=True)
