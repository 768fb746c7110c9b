"""The bad network itself: it does what it is told, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bellwire.testing import ChaosProxy

DEADLINE_SECONDS = 10.0
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Sends back whatever it gets, and remembers how connections ended."""

    def __init__(self) -> None:
        self.ends: asyncio.Queue[str] = asyncio.Queue()
        self.received = bytearray()
        self.got = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                self.received += data
                self.got.set()
                writer.write(data)
                await writer.drain()
            self.ends.put_nowait("FIN")
        except ConnectionResetError:
            self.ends.put_nowait("RST")
        finally:
            writer.close()


@asynccontextmanager
async def through_a_proxy(seed: int = 0) -> AsyncIterator[tuple[ChaosProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            ChaosProxy(f"127.0.0.1:{port}", seed=seed) as proxy,
        ):
            yield proxy, echo
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def connected(proxy: ChaosProxy) -> AsyncIterator[Ends]:
    host, port = proxy.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def echoed(ends: Ends, data: bytes) -> bytes:
    reader, writer = ends
    writer.write(data)
    return await reader.readexactly(len(data))


async def test_a_good_network_changes_nothing_and_forwards_the_end() -> None:
    data = bytes(range(256)) * 4_096
    async with through_a_proxy() as (proxy, echo), connected(proxy) as ends:
        assert await echoed(ends, data) == data
        assert (proxy.up.forwarded_bytes, proxy.down.forwarded_bytes) == (len(data), len(data))
        ends[1].write_eof()
        assert await ends[0].read() == b""
        assert await echo.ends.get() == "FIN"
    assert proxy.open_connections == 0


async def test_what_was_sent_before_the_end_arrives_before_the_end() -> None:
    data = bytes(2 << 20)
    async with through_a_proxy() as (proxy, _), connected(proxy) as (reader, writer):
        proxy.down.delay_seconds = 0.05
        writer.write(data)
        writer.write_eof()
        assert len(await reader.read(-1)) == len(data)


async def test_a_delay_is_kept_in_its_direction_and_order_is_kept_under_jitter() -> None:
    loop = asyncio.get_running_loop()
    async with through_a_proxy(seed=3) as (proxy, _), connected(proxy) as ends:
        proxy.up.delay_seconds, proxy.up.jitter_seconds = 0.05, 0.05
        began = loop.time()
        for n in range(20):
            ends[1].write(b"%02d" % n)
            await asyncio.sleep(0)
        expected = b"".join(b"%02d" % n for n in range(20))
        assert await ends[0].readexactly(40) == expected
        assert loop.time() - began >= 0.05


async def test_the_same_seed_gives_the_same_delays() -> None:
    loop = asyncio.get_running_loop()
    shortest = [float("inf")] * 3
    drawn: list[list[float]] = []
    for _ in range(
        5
    ):  # What is measured is the delay and what the machine adds; the least of it is compared.
        async with through_a_proxy(seed=11) as (proxy, _), connected(proxy) as ends:
            proxy.up.jitter_seconds = 0.3
            times = []
            for n in range(3):
                began = loop.time()
                await echoed(ends, b"%d" % n)
                times.append(loop.time() - began)
            drawn.append(times)
        shortest = [min(pair) for pair in zip(shortest, times, strict=True)]
        near = [times for times in drawn if times == pytest.approx(shortest, abs=0.05)]
        if len(near) == 2:
            return
    raise AssertionError(f"no two of five runs were alike: {drawn}")


async def test_a_trickle_takes_as_long_as_its_rate_says() -> None:
    loop = asyncio.get_running_loop()
    async with through_a_proxy() as (proxy, _), connected(proxy) as ends:
        proxy.up.bytes_per_second = 10_000
        began = loop.time()
        await echoed(ends, bytes(2_000))
        assert loop.time() - began >= 0.18


async def test_a_stall_loses_nothing() -> None:
    async with through_a_proxy() as (proxy, echo), connected(proxy) as ends:
        await echoed(ends, b"before")
        proxy.up.stall()
        ends[1].write(b"under way")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends[0].readexactly(1), 0.05)
        assert bytes(echo.received) == b"before"
        proxy.up.resume()
        assert await ends[0].readexactly(9) == b"under way"


@pytest.mark.parametrize(("reset", "end"), [(True, "RST"), (False, "FIN")])
async def test_a_cut_is_seen_at_both_ends(reset: bool, end: str) -> None:
    async with through_a_proxy() as (proxy, echo), connected(proxy) as ends:
        await echoed(ends, b"1")
        proxy.cut(reset=reset)
        assert await echo.ends.get() == end
        if reset:
            with pytest.raises(ConnectionResetError):
                await ends[0].read()
        else:
            assert await ends[0].read() == b""
        async with connected(proxy) as others:
            assert await echoed(others, b"2") == b"2"
        assert proxy.accepted == 2


async def test_a_half_open_direction_swallows_bytes_and_ends_and_closes_nothing() -> None:
    async with through_a_proxy() as (proxy, echo):
        async with connected(proxy) as ends:
            await echoed(ends, b"1")
            proxy.up.half_open()
            ends[1].write(b"lost")
            while proxy.up.swallowed_bytes < 4:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0)
        assert echo.ends.empty(), "the target heard of the end"
        assert bytes(echo.received) == b"1"
        proxy.heal()
        assert await echo.ends.get() == "RST"


async def test_the_other_direction_of_a_half_open_line_still_flows() -> None:
    async with through_a_proxy() as (proxy, echo), connected(proxy) as ends:
        await echoed(ends, b"1")
        proxy.down.half_open()
        echo.got.clear()
        ends[1].write(b"2")
        await echo.got.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends[0].readexactly(1), 0.05)


async def test_new_connections_can_be_refused_for_a_while() -> None:
    async with through_a_proxy() as (proxy, _):
        proxy.accepts = False
        async with connected(proxy) as ends:
            with pytest.raises(ConnectionResetError):
                await ends[0].read()
        proxy.heal()
        async with connected(proxy) as ends:
            assert await echoed(ends, b"1") == b"1"


async def test_a_proxy_without_a_target_refuses_and_one_that_is_not_open_says_so() -> None:
    proxy = ChaosProxy("127.0.0.1:1")
    with pytest.raises(RuntimeError, match="async with"):
        _ = proxy.address
    async with proxy, connected(proxy) as ends:
        with pytest.raises(ConnectionResetError):
            await ends[0].read()


async def test_a_unix_socket_can_be_the_target(tmp_path) -> None:
    echo = Echo()
    server = await asyncio.start_unix_server(echo.serve, f"{tmp_path}/echo.sock")
    async with ChaosProxy(f"unix://{tmp_path}/echo.sock") as proxy, connected(proxy) as ends:
        assert await echoed(ends, b"1") == b"1"
        proxy.cut()
    server.close()
    await server.wait_closed()
