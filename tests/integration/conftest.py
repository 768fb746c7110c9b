"""The bus in each of its forms, for suites that all of them must pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bellwire.client import ClientSettings, connect
from bellwire.client.protocol import BusClient
from bellwire.testing import InMemoryBus, running_coordinator

Clients = Callable[..., BusClient]
OpenBus = Callable[..., AbstractAsyncContextManager[Clients]]


@asynccontextmanager
async def _real(transport: str, **overrides: Any) -> AsyncIterator[Clients]:
    async with running_coordinator(**overrides) as running:
        address = running.tcp if transport == "tcp" else running.unix
        yield lambda settings=None: connect(
            address, over(settings, socket_lane=transport == "lane")
        )


def over(settings: ClientSettings | None, *, socket_lane: bool) -> ClientSettings:
    """Return these settings, or the defaults, with the socket lane switched on or off."""
    settings = settings or ClientSettings()
    return replace(settings, transport=replace(settings.transport, socket_lane=socket_lane))


@asynccontextmanager
async def _memory(**overrides: Any) -> AsyncIterator[Clients]:
    bus = InMemoryBus(**overrides)
    yield bus.client


@pytest.fixture(params=["memory", "tcp", "unix", "lane"])
def open_bus(request: pytest.FixtureRequest) -> OpenBus:
    """A bus to open with coordinator settings by name; gives a maker of clients."""
    if request.param == "memory":
        return _memory
    return lambda **overrides: _real(request.param, **overrides)


@pytest.fixture
async def client(open_bus: OpenBus) -> AsyncIterator[BusClient]:
    async with open_bus() as clients, clients() as opened:
        yield opened
