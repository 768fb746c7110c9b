"""A pool of channels that knows several coordinators: real servers on Unix sockets, one of them the owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from bellwire.admin.v1.server_pb2 import GetServerInfoRequest, GetServerInfoResponse
from bellwire.admin.v1.server_pb2_grpc import ServerServiceStub
from bellwire.coordinator.services.catalog import SERVICES
from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings
from bellwire.transport.serving.handlers import service_handler
from bellwire.wire.errors import NotOwnerError

DEADLINE_SECONDS = 15.0


class Servers:
    """Servers that name whoever is the owner, or answer."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.owner = ""
        self.asked: list[str] = []
        self._asked = asyncio.Event()

    def address(self, name: str) -> Address:
        return Address(path=f"{self._folder}/{name}")

    async def start(self, name: str) -> grpc.aio.Server:
        servers, address = self, self.address(name)

        class Servicer:
            async def GetServerInfo(self, request: object, context: object) -> Any:
                servers.asked.append(name)
                servers._asked.set()
                if servers.owner == name:
                    return GetServerInfoResponse(version=name)
                metadata = {"owner": str(servers.address(servers.owner))} if servers.owner else {}
                raise NotOwnerError("not here", metadata=metadata)

        server = grpc.aio.server()
        server.add_generic_rpc_handlers([service_handler(Servicer(), SERVICES["ServerService"])])
        server.add_insecure_port(address.target)
        await server.start()
        self._stack.push_async_callback(server.stop, 0)
        return server

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        """Wait until those who were asked are as wanted."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition(self.asked):
                self._asked.clear()
                await self._asked.wait()

    def pool(self, *names: str) -> ChannelPool:
        pool = ChannelPool([self.address(name) for name in names], TransportSettings())
        self._stack.push_async_callback(pool.close)
        return pool


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(tmp_path, stack)


async def ask(pool: ChannelPool, seconds: float = DEADLINE_SECONDS) -> str:
    stub: Any = ServerServiceStub(pool.first())
    request = GetServerInfoRequest()
    answer = await stub.GetServerInfo(request, timeout=seconds, wait_for_ready=True)
    version: str = answer.version
    return version


async def test_a_unary_call_follows_the_name_it_is_told(servers: Servers) -> None:
    await servers.start("a")
    await servers.start("b")
    servers.owner = "b"
    pool = servers.pool("a")
    assert await ask(pool) == "b"
    assert servers.asked == ["a", "b"]
    assert pool.address == servers.address("b")
    assert await ask(pool) == "b"
    assert servers.asked == ["a", "b", "b"]


async def test_a_call_during_an_election_waits_for_its_end(servers: Servers) -> None:
    await servers.start("a")
    await servers.start("b")
    asking = asyncio.create_task(ask(servers.pool("a", "b")))
    await servers.until(lambda asked: {"a", "b"} <= set(asked))
    servers.owner = "a"
    assert await asking == "a"


async def test_a_call_whose_owner_is_not_found_ends_with_its_deadline(servers: Servers) -> None:
    await servers.start("a")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(servers.pool("a"), seconds=0.5)
    assert refused.value.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    assert len(servers.asked) < 20  # The pauses bound it.


async def test_when_a_coordinator_goes_away_the_next_one_is_gone_to(servers: Servers) -> None:
    first = await servers.start("a")
    servers.owner = "a"
    pool = servers.pool("a", "b", "c")
    assert await ask(pool) == "a"
    await servers.start("c")
    restored = asyncio.create_task(pool.reachability().restored())
    await first.stop(0)
    await restored
    servers.owner = "c"
    assert await ask(pool) == "c"


async def test_a_dead_owner_that_is_named_is_not_run_to_again_and_again(servers: Servers) -> None:
    first = await servers.start("a")
    await servers.start("b")
    servers.owner = "a"
    pool = servers.pool("a", "b")
    assert await ask(pool) == "a"
    restored = asyncio.create_task(pool.reachability().restored())
    await first.stop(0)
    await restored
    asking = asyncio.create_task(ask(pool))
    await servers.until(lambda asked: asked.count("b") >= 4)
    assert pool.address == servers.address("b")
    servers.owner = "b"
    assert await asking == "b"
