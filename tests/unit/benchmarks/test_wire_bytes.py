"""Bytes as the kernel counts them."""

import asyncio

from tests.benchmarks.wire_bytes import tcp_bytes_of_this_process


async def test_bytes_over_tcp_are_counted_in_both_directions():
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1_000))
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        before = tcp_bytes_of_this_process()
        writer.write(bytes(1_000))
        await reader.readexactly(1_000)
        after = tcp_bytes_of_this_process()
        writer.close()
        await writer.wait_closed()
    assert before is not None
    assert after is not None
    # Both ends live in this process, so each direction is seen as sent once and received once. The
    # last bytes may not be acknowledged yet, and those count as sent only then.
    assert after.received - before.received == 2_000
    assert 1_000 <= after.sent - before.sent <= 2_000
