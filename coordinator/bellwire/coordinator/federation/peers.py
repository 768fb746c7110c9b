"""Persistent gRPC channels to other coordinators, one each, made when first used and closed when long unused."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import grpc

from bellwire.agent.v1.agent_pb2_grpc import AgentServiceStub
from bellwire.agent.v1.invocation_pb2_grpc import InvocationServiceStub
from bellwire.transport.address import parse_address
from bellwire.transport.channel import TransportSettings, channel_options
from bellwire.wire.errors import CapacityError

if TYPE_CHECKING:
    from bellwire.agent.v1.agent_pb2_grpc import AgentServiceAsyncStub
    from bellwire.agent.v1.invocation_pb2_grpc import InvocationServiceAsyncStub

__all__ = ["IN_FLIGHT_MAX", "Peer", "PeerChannels"]

PEERS_MAX: Final = 64  # As many as a directory names.
# To one coordinator; beyond, another one is asked or the caller is told AGENT_BUSY (REFUSE).
IN_FLIGHT_MAX: Final = 1_000
IDLE_SECONDS: Final = 60.0  # A connection costs both sides a file and a ping each 20 s.


class Peer:
    """Another coordinator, over one connection: HTTP/2 carries a thousand calls at once over it.

    Attributes:
        address: Where it is.
        in_flight: Requests sent and not ended.
        used_at: When the latest one ended, monotonic seconds.
    """

    def __init__(self, address: str, settings: TransportSettings, now: float) -> None:
        self.address = address
        self.in_flight = 0
        self.used_at = now
        target = parse_address(address).target
        self._channel = grpc.aio.insecure_channel(target, options=channel_options(settings))
        self.invocation: InvocationServiceAsyncStub = InvocationServiceStub(self._channel)
        self.agents: AgentServiceAsyncStub = AgentServiceStub(self._channel)

    async def ready(self, seconds: float) -> bool:
        """Wait for the connection; False = it does not stand within so long, and nothing was sent."""
        ready = grpc.ChannelConnectivity.READY
        if self._channel.get_state(try_to_connect=True) is ready:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (state := self._channel.get_state(try_to_connect=True)) is not ready:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        return False
                    await self._channel.wait_for_state_change(state)
                return True
        return False

    def begin(self) -> None:
        """Count one more request as under way; `end` counts it as ended.

        Raises:
            CapacityError: There are too many.
        """
        if self.in_flight >= IN_FLIGHT_MAX:
            raise CapacityError(
                f"{self.in_flight} calls to coordinator {self.address} are in flight, that is the limit: try again",
                metadata={"coordinator": self.address, "limit": str(IN_FLIGHT_MAX)},
            )
        self.in_flight += 1

    def end(self) -> None:
        """Count one request as ended."""
        self.in_flight -= 1
        self.used_at = time.monotonic()

    async def close(self) -> None:
        """Close the connection; requests under way end."""
        await self._channel.close()


class PeerChannels:
    """Connections to other coordinators, by address.

    Args:
        settings: How channels are kept.
    """

    def __init__(self, settings: TransportSettings | None = None) -> None:
        self._settings = settings or TransportSettings()
        self._peers: dict[str, Peer] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._peers)

    def to(self, address: str) -> Peer:
        """Return the connection to a coordinator.

        Raises:
            AddressError: It tells an address that is none.
            CapacityError: There are too many, and all are in use.
        """
        peer = self._peers.get(address)
        if peer is None:
            if len(self._peers) >= PEERS_MAX:
                self._make_room()
            peer = self._peers[address] = Peer(address, self._settings, time.monotonic())
        return peer

    def close_idle(self, now: float) -> None:
        """Close connections that were not used for `IDLE_SECONDS`."""
        for peer in tuple(self._peers.values()):
            if not peer.in_flight and now - peer.used_at >= IDLE_SECONDS:
                self._close(peer)

    async def close(self) -> None:
        """Close all."""
        for peer in tuple(self._peers.values()):
            self._close(peer)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _make_room(self) -> None:
        """Close the connection that is unused for longest."""
        unused = [peer for peer in self._peers.values() if not peer.in_flight]
        if not unused:
            raise CapacityError(
                f"{len(self._peers)} other coordinators are being called, that is the limit: try again",
                metadata={"limit": str(PEERS_MAX)},
            )
        self._close(min(unused, key=lambda peer: peer.used_at))

    def _close(self, peer: Peer) -> None:
        del self._peers[peer.address]
        closing = asyncio.create_task(peer.close(), name="close a peer's channel")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
