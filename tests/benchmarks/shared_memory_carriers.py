"""Ways between two processes: iceoryx2's shared memory, a Unix socket, and the bus by its public API."""

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from struct import Struct
from typing import Any, Final

from tests.benchmarks.shared_memory_content import (
    COLUMNS,
    ROWS_PER_MESSAGE_MAX,
    SOURCE,
    TOPIC,
    Decode,
    Table,
    columns_module,
    decode_bare,
    decode_batch,
    encode_as_batch,
)

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import connect

LENGTH: Final = Struct("<I")
UPDATES_IN_FLIGHT_MAX: Final = 8  # Of the bus: `publish` returns when it is acknowledged.
SAMPLES_MAX: Final = 8  # Of iceoryx2: the publisher waits when the subscriber holds as many unread.
# Of whoever sends: as many updates later a table is filled again, and by then it has left.
TABLES_IN_TURN: Final = 2 * UPDATES_IN_FLIGHT_MAX
Send = Callable[[list[Table]], Awaitable[None]]
Take = Callable[[Any], None]  # Five columns: a table, or views one by one.


class Carrier:
    """One way. `rows_max`: rows it takes at once."""

    rows_max = 1 << 30

    def publisher(self, address: str) -> AbstractAsyncContextManager[Send]:
        """Connect; what is given sends the parts of one update."""
        raise NotImplementedError

    def subscriber(self, address: str, take: Take) -> AbstractAsyncContextManager[None]:
        """Call `take` on the event loop with each table that arrives."""
        raise NotImplementedError


# ---------------------------------------------------------------- a Unix socket


class _Reader(asyncio.BufferedProtocol):
    """Length-prefixed frames, each received straight into a buffer of its own."""

    def __init__(self, decode: Decode, take: Take) -> None:
        self._decode, self._take = decode, take
        self._frame, self._filled, self._is_length = bytearray(LENGTH.size), 0, True

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._frame)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled < len(self._frame):
            return
        frame, self._filled, was_length = self._frame, 0, self._is_length
        self._is_length = not was_length
        if was_length:
            self._frame = bytearray(LENGTH.unpack(frame)[0])
        else:
            self._frame = bytearray(LENGTH.size)
            self._take(self._decode(frame))


class _Writer(asyncio.Protocol):
    def __init__(self) -> None:
        self._room = asyncio.Event()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def room(self) -> None:
        await self._room.wait()


class UnixSocket(Carrier):
    """Frames over a Unix socket, on both event loops; `as_batches`: as batches of the bus."""

    def __init__(self, *, as_batches: bool) -> None:
        self._as_batches = as_batches
        if as_batches:
            self.rows_max = ROWS_PER_MESSAGE_MAX

    @asynccontextmanager
    async def subscriber(self, address: str, take: Take) -> AsyncIterator[None]:
        """Listen at the path."""
        decode = decode_batch if self._as_batches else decode_bare
        loop = asyncio.get_running_loop()
        async with await loop.create_unix_server(lambda: _Reader(decode, take), address):
            yield

    @asynccontextmanager
    async def publisher(self, address: str) -> AsyncIterator[Send]:
        """Connect to the path."""
        loop = asyncio.get_running_loop()
        transport, writer = await loop.create_unix_connection(_Writer, address)

        async def send(parts: list[Table]) -> None:
            for part in parts:
                body = encode_as_batch(part) if self._as_batches else part.data.cast("B")
                transport.writelines((LENGTH.pack(len(body)), body))
                await writer.room()

        try:
            yield send
        finally:
            transport.close()


# ---------------------------------------------------------------- iceoryx2


class SharedMemory(Carrier):
    """iceoryx2: tables in shared memory; a thread waits for its events and wakes the event loop."""

    def __init__(self, *, as_batches: bool) -> None:
        self._as_batches = as_batches
        if as_batches:
            self.rows_max = ROWS_PER_MESSAGE_MAX

    @asynccontextmanager
    async def subscriber(self, address: str, take: Take) -> AsyncIterator[None]:
        """Read what is published under the name."""
        iox2, data, event = _services(address)
        subscriber = data.subscriber_builder().buffer_size(SAMPLES_MAX).create()
        listener = event.listener_builder().create()
        loop = asyncio.get_running_loop()
        ended = threading.Event()
        decode = decode_batch if self._as_batches else decode_bare

        def drain() -> None:
            while (sample := subscriber.receive()) is not None:
                take(decode(sample.payload().as_memory_view().cast("B")))
                sample.delete()

        def wait() -> None:
            while not ended.is_set():
                if listener.timed_wait(iox2.Duration.from_millis(100)) is not None:
                    loop.call_soon_threadsafe(drain)

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            listener.delete()
            subscriber.delete()

    @asynccontextmanager
    async def publisher(self, address: str) -> AsyncIterator[Send]:
        """Publish under the name."""
        iox2, data, event = _services(address)
        publisher = (
            data.publisher_builder()
            .initial_max_slice_len(1 << 20)
            .allocation_strategy(iox2.AllocationStrategy.PowerOfTwo)
            .backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )
        notifier = event.notifier_builder().create()

        async def send(parts: list[Table]) -> None:
            for part in parts:
                body = encode_as_batch(part) if self._as_batches else part.data.cast("B")
                sample = publisher.loan_slice_uninit(len(body))
                sample.payload().as_memory_view().cast("B")[:] = body
                sample.assume_init().send()
                notifier.notify()

        try:
            yield send
        finally:
            notifier.delete()
            publisher.delete()


def _services(address: str) -> tuple[Any, Any, Any]:
    """Open the two services of a name: samples, and the events that tell of them."""
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Error)
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    name = iox2.ServiceName.new(address)
    data = (
        node.service_builder(name)
        .publish_subscribe(iox2.Slice[ctypes.c_uint8])
        .enable_safe_overflow(False)
        .subscriber_max_buffer_size(SAMPLES_MAX)
        .payload_alignment(iox2.Alignment.new(8))
        .open_or_create()
    )
    event = node.service_builder(iox2.ServiceName.new(f"{address}/event")).event().open_or_create()
    return iox2, data, event


# ---------------------------------------------------------------- the bus


class PublicApi(Carrier):
    """`bellwire.client` through a coordinator: by its columns where it has them, else as bytes."""

    rows_max = ROWS_PER_MESSAGE_MAX

    @asynccontextmanager
    async def subscriber(self, address: str, take: Take) -> AsyncIterator[None]:
        """Subscribe, batch by batch; a slow reader blocks the publisher."""
        columns = columns_module()
        async with connect(address) as client:
            await client.admin.create_topic(Topic(name=TOPIC))
            subscription = client.subscribe(TOPIC, overflow_policy=OVERFLOW_POLICY_BLOCK)

            async def read() -> None:
                async for batch in subscription.batches():
                    for message in batch.messages:
                        take(_table_in(message, columns))

            async with subscription:
                reading = asyncio.create_task(read())
                try:
                    yield
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])

    @asynccontextmanager
    async def publisher(self, address: str) -> AsyncIterator[Send]:
        """Publish with acknowledgements, a bounded number of updates at a time."""
        columns = columns_module()
        room = asyncio.Semaphore(UPDATES_IN_FLIGHT_MAX)
        open_tasks: set[asyncio.Task[None]] = set()
        async with connect(address) as client:
            publisher = client.publisher(SOURCE, ack_level=ACK_LEVEL_RECEIVED)

            async def publish(parts: list[Table]) -> None:
                try:
                    if columns is None:
                        await publisher.publish_payloads(TOPIC, [part.tobytes() for part in parts])
                    for part in parts if columns is not None else ():
                        await columns.publish_columns(publisher, TOPIC, _columns(columns, part))
                finally:
                    room.release()

            async def send(parts: list[Table]) -> None:
                await room.acquire()
                task = asyncio.create_task(publish(parts))
                open_tasks.add(task)
                task.add_done_callback(open_tasks.discard)

            yield send
            if open_tasks:
                await asyncio.gather(*open_tasks)


def _columns(columns: Any, table: Table) -> Any:
    named = [columns.Column(str(index), values) for index, values in enumerate(table)]
    return columns.Columns(TOPIC, named)


def _table_in(message: Any, columns: Any) -> Any:
    if columns is None:
        return decode_bare(message.data)
    found = columns.columns_of(message)
    return [found[str(index)] for index in range(COLUMNS)]


CARRIERS: Final[dict[str, Carrier]] = {
    "iceoryx2": SharedMemory(as_batches=False),
    "unix": UnixSocket(as_batches=False),
    "iceoryx2_batch": SharedMemory(as_batches=True),
    "unix_batch": UnixSocket(as_batches=True),
    "bellwire": PublicApi(),
}
