"""A bad network between a client and a server: a TCP proxy that delays, trickles, stalls, swallows and cuts."""

from __future__ import annotations

import asyncio
import socket
import struct
from random import Random
from typing import Any, Final, Self

from bellwire.transport.address import Address, parse_address

__all__ = ["ChaosProxy", "Way"]

CHUNK_BYTES: Final = 16 << 10  # Read at once; what is delayed or trickled is not much coarser.
CHUNKS_UNDER_WAY_MAX: Final = 256  # 4 MiB per direction; policy BLOCK: nothing more is read.
TRICKLE_SECONDS: Final = 0.01  # A trickle is cut into pieces of so long.
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST.

_Chunk = tuple[float, bytes]


class Way:
    """One direction of all connections through a proxy; what is set here holds at once.

    Attributes:
        delay_seconds: Added to every chunk.
        jitter_seconds: Upper bound of a random delay added to that; order is kept.
        bytes_per_second: A trickle; 0 = as fast as it goes.
        forwarded_bytes: Forwarded so far.
        swallowed_bytes: Taken and not forwarded so far.
    """

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self.jitter_seconds = 0.0
        self.bytes_per_second = 0.0
        self.forwarded_bytes = 0
        self.swallowed_bytes = 0
        self.swallows = False
        self._flows = asyncio.Event()
        self._flows.set()

    def stall(self) -> None:
        """Forward nothing until `resume`; nothing is lost."""
        self._flows.clear()

    def resume(self) -> None:
        """End a stall."""
        self._flows.set()

    def half_open(self) -> None:
        """Take everything and forward nothing, ends of connections included, until `ChaosProxy.heal`."""
        self.swallows = True
        self._flows.set()

    def heal(self) -> None:
        """Be a good network again."""
        self.delay_seconds = self.jitter_seconds = self.bytes_per_second = 0.0
        self.swallows = False
        self._flows.set()

    async def flowing(self) -> None:
        """Wait while it is stalled."""
        await self._flows.wait()


class ChaosProxy:
    """Stands on a free port of 127.0.0.1 and forwards to a target, as badly as it is told to::

        async with ChaosProxy(coordinator.tcp, seed=7) as proxy, connect(proxy.address) as client:
            proxy.down.half_open()

    Random delays depend on the seed, the number of the connection and the direction alone.

    Attributes:
        up: From the client to the target.
        down: From the target to the client.
        accepts: False = new connections are reset.
        accepted: Connections taken so far.
    """

    def __init__(self, target: str, *, seed: int = 0) -> None:
        """Prepare a proxy; `async with` opens it.

        Args:
            target: "host:port" or "unix:///path".
            seed: Of the random delays.
        """
        self._target = parse_address(target)
        self._seed = seed
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self.up = Way()
        self.down = Way()
        self.accepts = True
        self.accepted = 0

    @property
    def address(self) -> str:
        """Where clients connect to: "127.0.0.1:PORT"."""
        if self._server is None:
            raise RuntimeError("the proxy is not open: use `async with`")
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """Connections forwarded now."""
        return len(self._lines)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        server = self._server
        if server is not None:
            server.close()
            self.cut()
            tasks = [line.task for line in self._lines if line.task is not None]
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()

    def cut(self, *, reset: bool = True) -> None:
        """Break every connection at both ends: with RST, or with FIN. What is under way is lost."""
        for line in tuple(self._lines):
            line.cut(reset=reset)

    def heal(self) -> None:
        """Be a good network again; connections that lost bytes are reset, for they can never go on."""
        self.accepts = True
        for line in tuple(self._lines):
            if line.is_broken:
                line.cut(reset=True)
        self.up.heal()
        self.down.heal()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        line = _Line(f"{self._seed}/{self.accepted}", reader, writer)
        self._lines.add(line)
        try:
            if self.accepts and await line.dial(self._target):
                await line.run(self.up, self.down)
            else:
                line.cut(reset=True)
        finally:
            line.close()
            self._lines.discard(line)


class _Line:
    """One connection: to the client, and to the target."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._name = name
        self._near = (reader, writer)
        self._far: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.is_broken = False
        self.task = asyncio.current_task()
        self._cut = asyncio.Event()

    async def dial(self, target: Address) -> bool:
        """Connect to the target; False when nobody is there, or the line was cut."""
        try:
            if target.is_unix:
                self._far = await asyncio.open_unix_connection(target.path)
            else:
                self._far = await asyncio.open_connection(target.host, target.port)
        except OSError:
            return False
        return not self._cut.is_set()

    async def run(self, up: Way, down: Way) -> None:
        """Forward both ways until both ends are closed or the line is cut."""
        far = self._far
        if far is None:
            return
        pumps = asyncio.gather(
            self._pump(self._near[0], far[1], up, Random(f"{self._name}/up")),
            self._pump(far[0], self._near[1], down, Random(f"{self._name}/down")),
        )
        cut = asyncio.ensure_future(self._cut.wait())
        ends: list[asyncio.Future[Any]] = [pumps, cut]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def cut(self, *, reset: bool) -> None:
        """Close both ends at once."""
        self._cut.set()
        for end in (self._near, self._far):
            if end is None:
                continue
            transport = end[1].transport
            line = transport.get_extra_info("socket")
            if reset and not transport.is_closing() and line.family != socket.AF_UNIX:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()

    def close(self) -> None:
        """Close what is still open once everything is sent."""
        for end in (self._near, self._far):
            if end is not None:
                end[1].close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, chance: Random
    ) -> None:
        """Forward one direction; a reader that runs ahead makes delays independent of throughput."""
        chunks: asyncio.Queue[_Chunk] = asyncio.Queue(CHUNKS_UNDER_WAY_MAX)
        reading = asyncio.create_task(_read(reader, chunks, way, chance))
        try:
            await self._write(writer, chunks, way)
        except OSError:
            self._cut.set()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _write(
        self, writer: asyncio.StreamWriter, chunks: asyncio.Queue[_Chunk], way: Way
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await chunks.get()
            if due > clock():
                await asyncio.sleep(due - clock())
            await way.flowing()
            if way.swallows:
                self.is_broken = True
                way.swallowed_bytes += len(data)
                if not data:
                    await self._cut.wait()  # The end is swallowed too: nobody hears of it.
                continue
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            await _trickle(writer, data, way)


async def _read(
    reader: asyncio.StreamReader, chunks: asyncio.Queue[_Chunk], way: Way, chance: Random
) -> None:
    """Take what comes and say when it is due; an empty chunk is the end."""
    clock = asyncio.get_running_loop().time
    due = 0.0
    while True:
        try:
            data = await reader.read(CHUNK_BYTES)
        except OSError:
            data = b""
        due = max(due, clock() + way.delay_seconds + chance.random() * way.jitter_seconds)
        await chunks.put((due, data))
        if not data:
            return


async def _trickle(writer: asyncio.StreamWriter, data: bytes, way: Way) -> None:
    while data:
        rate = way.bytes_per_second
        size = max(1, int(rate * TRICKLE_SECONDS)) if rate else len(data)
        piece, data = data[:size], data[size:]
        writer.write(piece)
        way.forwarded_bytes += len(piece)
        await writer.drain()
        if rate:
            await asyncio.sleep(len(piece) / rate)
            await way.flowing()
