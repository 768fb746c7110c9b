"""The bus without a network: the same core, the same client, one process, no sockets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bellwire.client.client import Client
from bellwire.client.settings import ClientSettings
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.log.memory_store import MemoryStore
from bellwire.coordinator.services.catalog import SERVICES, servicers_of
from bellwire.coordinator.state import CoordinatorState
from bellwire.testing._in_memory_channel import InMemoryChannel, InMemoryServer
from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings
from bellwire.transport.serving.handlers import service_handler

__all__ = ["InMemoryBus"]


class InMemoryBus:
    """A coordinator for unit tests: partitions, subscriptions, windows and tool calls as in a real one.

    It runs the coordinator's own state machines and services behind channels of plain Python queues,
    so that a test needs neither a port nor a thread, and `disconnect` cuts every line at will::

        bus = InMemoryBus()
        async with bus.client() as client:
            await client.publisher("agents/feed-0").publish("bars.1h", b"...", key="EURUSD")

    Clients satisfy `bellwire.client.protocol.BusClient`. Use it from one event loop.
    """

    def __init__(
        self,
        settings: CoordinatorSettings | None = None,
        *,
        cache: CacheSettings | None = None,
        **overrides: Any,
    ) -> None:
        """Make an empty bus.

        Args:
            settings: What a coordinator may be told; addresses are ignored.
            cache: Settings of its cache; Redis is left out.
            overrides: Single settings by name, for example `default_partitions=4`.
        """
        self.settings = replace(settings or CoordinatorSettings(), **overrides)
        self._cache = cache
        self._server: InMemoryServer | None = None
        self._channels: list[InMemoryChannel] = []

    def client(self, settings: ClientSettings | None = None) -> Client:
        """Return a client of this bus; `async with` opens it."""
        chosen = settings or ClientSettings()
        return Client("unix:///memory", chosen, pool=_InMemoryPool(self, chosen.transport))

    def disconnect(self) -> None:
        """Cut every stream of every client, as a lost network does; they connect again at once."""
        for channel in self._channels:
            channel.disconnect()

    def channel(self) -> InMemoryChannel:
        """Return a new gRPC channel to this bus, for tests that speak the contract themselves."""
        channel = InMemoryChannel(self._serving())
        self._channels.append(channel)
        return channel

    def _serving(self) -> InMemoryServer:
        # Made late: a bus may be made in a fixture, before there is an event loop.
        if self._server is None:
            self._server = InMemoryServer()
            store = MemoryStore(dead_letters_max=self.settings.dead_letters_max)
            state = CoordinatorState(self.settings, store, store.load(), self._cache)
            servicers = servicers_of(state)
            self._server.add_generic_rpc_handlers(
                [service_handler(servicers[name], service) for name, service in SERVICES.items()]
            )
        return self._server


class _InMemoryPool(ChannelPool):
    def __init__(self, bus: InMemoryBus, settings: TransportSettings) -> None:
        super().__init__(Address(path="/memory"), settings)
        self._bus = bus

    def _open(self) -> InMemoryChannel:
        return self._bus.channel()
