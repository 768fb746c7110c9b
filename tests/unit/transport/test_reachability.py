"""Outages and their ends, told by one real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings
from bellwire.wire.errors import ClosedError

DEADLINE_SECONDS = 10.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return f"{tmp_path}/bus.sock"


@pytest.fixture
async def pool(path: str) -> AsyncIterator[ChannelPool]:
    pool = ChannelPool(Address(path=path), TransportSettings())
    yield pool
    await pool.close()


async def serving(path: str) -> grpc.aio.Server:
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    return server


async def test_the_end_of_an_outage_is_told_to_all_who_wait(pool: ChannelPool, path: str) -> None:
    reachability = pool.reachability()
    assert pool.reachability() is reachability
    assert not reachability.is_connected
    waiting = [asyncio.create_task(reachability.restored()) for _ in range(3)]
    server = await serving(path)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*waiting)
        assert reachability.is_connected
    finally:
        await server.stop(0)


async def test_a_server_that_stands_is_not_restored_before_it_was_gone(
    pool: ChannelPool, path: str
) -> None:
    server = await serving(path)
    await pool.first().channel_ready()
    reachability = pool.reachability()
    assert reachability.is_connected
    restored = asyncio.create_task(reachability.restored())
    done, _ = await asyncio.wait([restored], timeout=0.05)
    assert not done
    await server.stop(0)
    server = await serving(path)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await restored
    finally:
        await server.stop(0)


async def test_a_closed_pool_watches_nothing(path: str) -> None:
    pool = ChannelPool(Address(path=path), TransportSettings())
    pool.reachability()
    before = len(asyncio.all_tasks())
    await pool.close()
    assert len(asyncio.all_tasks()) == before - 1
    with pytest.raises(ClosedError):
        pool.reachability()
