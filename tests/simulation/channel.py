"""What a client takes for its gRPC channel: streams and requests over the simulated network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import grpc
from tests.simulation.network import Network, Stream, deadline_exceeded, unavailable

from bellwire.bus.v1.publisher_pb2 import GetTopicMetadataRequest, GetTopicMetadataResponse
from bellwire.client._link import Link
from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool, TransportSettings

RECONNECT_SECONDS: Final = 0.1  # gRPC's first interval between attempts.
ADDRESS: Final = Address("127.0.0.1:1")
POLL_SECONDS: Final = 0.05  # How often a request that waits for the connection looks for it.


class Directory(Protocol):
    """Who answers requests for metadata, and says when it comes and goes."""

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        ...

    def watch(self, watcher: Callable[[bool], None]) -> None:
        """Have a callback for every start and end."""

    def describe(self, request: GetTopicMetadataRequest) -> GetTopicMetadataResponse | None:
        """Answer; None = nobody listens."""


class Channel:
    """The part of `grpc.aio.Channel` that stubs use."""

    def __init__(
        self,
        network: Network,
        directory: Directory,
        client: str,
        on_stream: Callable[[Stream], None],
    ) -> None:
        self._network = network
        self._directory = directory
        self._client = client
        self._on_stream = on_stream
        self._state = self._now()
        self._changed = asyncio.Event()
        directory.watch(self._on_change)

    # ------------------------------------------------------------ connectivity

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return what the client's kernel has told last; a partition tells it nothing."""
        return self._state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another one."""
        while self._state is last_observed_state:
            self._changed.clear()
            await self._changed.wait()

    def _on_change(self, is_up: bool) -> None:
        delay = self._network.latency()
        if is_up:
            delay += self._network.random.random() * RECONNECT_SECONDS
        self._network.loop.call_later(delay, self._look)

    def _look(self) -> None:
        self._state = self._now()
        self._changed.set()

    def _now(self) -> grpc.ChannelConnectivity:
        connectivity = grpc.ChannelConnectivity
        return connectivity.READY if self._directory.is_up else connectivity.TRANSIENT_FAILURE

    # ------------------------------------------------------------ calls

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Callable[[], Stream]:
        """Return what opens a stream."""

        def call() -> Stream:
            stream = Stream(
                self._network, self._client, method, request_serializer, response_deserializer
            )
            self._on_stream(stream)
            return stream

        return call

    def unary_unary(self, method: str, **_: Any) -> Any:
        """Return what carries out a request; only GetTopicMetadata is served."""
        return self._describe

    def unary_stream(self, method: str, **_: Any) -> None:
        """Nobody opens one."""

    async def _describe(
        self,
        request: GetTopicMetadataRequest,
        *,
        timeout: float,  # noqa: ASYNC109 - gRPC's own parameter
        wait_for_ready: bool,
    ) -> GetTopicMetadataResponse:
        network, loop = self._network, self._network.loop
        deadline = loop.time() + timeout
        while loop.time() < deadline:
            await asyncio.sleep(network.latency() + network.latency())
            if network.healed_at(self._client) <= loop.time():
                answer = self._directory.describe(request)
                if answer is not None:
                    return answer
            if not wait_for_ready:
                raise unavailable("connection refused")
            await asyncio.sleep(POLL_SECONDS)
        raise deadline_exceeded()


class Reachability:
    """Knows of no outage: every link finds out by itself."""

    is_connected = True

    async def restored(self) -> None:
        """Wait for good."""
        await asyncio.Event().wait()


class Pool(ChannelPool):
    """One channel for everything."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(ADDRESS, TransportSettings())
        self._channels = [cast("grpc.aio.Channel", channel)]

    def next(self) -> grpc.aio.Channel:
        """Return the channel."""
        return self._channels[0]

    first = control = next

    def abandon(self) -> None:
        """End what runs for the channel: its process is gone."""
        if self._reachability is not None:
            self._reachability._task.cancel()


def end_link(link: Link[Any, Any]) -> None:
    """End a link as the end of its process does: nothing is said, nothing is opened again."""
    link._closing = True  # A cancellation alone is lost while the link awaits its own sender.
    if link._task is not None:
        link._task.cancel()
