"""The bus in each of its forms, for suites that all of them must pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks for memory topics where all topics are kept in Kafka."""
    out = [item for item in items if item.get_closest_marker("memory_topics") and _on_kafka(item)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def _on_kafka(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("open_bus") == "kafka"


@pytest.fixture(
    params=["memory", "tcp", "unix", "lane", pytest.param("kafka", marks=pytest.mark.slow)]
)
def open_bus(request: pytest.FixtureRequest) -> OpenBus:
    """A bus to open with coordinator settings by name; gives a maker of clients."""
    if request.param == "memory":
        return _memory
    if request.param == "kafka":
        kept = {
            "kafka": request.getfixturevalue("kafka"),
            "kafka_state_topic": f"_state-{uuid4().hex}",
            "default_log": "kafka",
        }
        return lambda **overrides: _real("tcp", **{**kept, **overrides})
    return lambda **overrides: _real(request.param, **overrides)


@pytest.fixture
async def client(open_bus: OpenBus) -> AsyncIterator[BusClient]:
    async with open_bus() as clients, clients() as opened:
        yield opened
