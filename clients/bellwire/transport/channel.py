"""Persistent gRPC channels to one coordinator."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc

from bellwire.policy.owner_search import OwnerSearch
from bellwire.transport.address import Address, AddressError, parse_address
from bellwire.transport.allocator import keep_freed_blocks
from bellwire.transport.lane.address import lane_socket
from bellwire.transport.lane.channel import SocketChannel
from bellwire.transport.movable import MovableChannel
from bellwire.transport.reachability import Reachability
from bellwire.wire.errors import ClosedError, NotOwnerError
from bellwire.wire.settings import check_settings, setting

__all__ = ["ChannelPool", "TransportSettings", "channel_options"]

RECONNECT_FIRST_MILLIS: Final = 100  # gRPC's least; its default of 1 s would be most of an outage.
# With gRPC's jitter of a fifth a restarted coordinator is noticed within 0.3 s. One attempt on a port
# nobody listens at costs both sides a few packets.
RECONNECT_MAX_MILLIS: Final = 250
MILLIS: Final = 1_000
ATTEMPT_SECONDS_MIN: Final = (
    1.0  # Of a connection, however many coordinators share the time to connect.
)

_log = logging.getLogger("bellwire.client")


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How channels are kept."""

    pool_size: int = field(
        default=4,
        metadata=setting(
            unit="channels",
            why="One each for publishing, subscribing, calls and an agent's own stream, so that none "
            "waits behind another's HTTP/2 flow control; more pays only against many targets",
            ge=1,
            le=50,
        ),
    )
    keepalive_seconds: float = field(
        default=20.0,
        metadata=setting(
            unit="s",
            why="Below the idle timeouts of common firewalls, above the server's minimum of 10 s",
            ge=10,
            le=3600,
        ),
    )
    keepalive_timeout_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s", why="A peer that answers no ping for this long is gone", gt=0, le=300
        ),
    )
    connect_timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s", why="One TCP and HTTP/2 handshake, slow links included", gt=0, le=300
        ),
    )
    frame_bytes_max: int = field(
        default=4 << 20,
        metadata=setting(
            unit="bytes",
            why="gRPC's own default; the largest frame of the contract is 3 MiB of batches",
            ge=1 << 20,
            le=64 << 20,
        ),
    )

    socket_lane: bool = field(
        default=True,
        metadata=setting(
            unit="",
            why="On the same host streams need no gRPC in between: half the latency; off = gRPC everywhere",
        ),
    )
    direct_lane: bool = field(
        default=True,
        metadata=setting(
            unit="",
            why="Subscribers on the same host that ask for it are written to as well; costs one more write each",
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


def channel_options(settings: TransportSettings, places: int = 1) -> list[tuple[str, int]]:
    """Return the gRPC arguments of one client channel, to one of so many coordinators."""
    timeout = settings.connect_timeout_seconds
    attempt_seconds = timeout if places == 1 else max(ATTEMPT_SECONDS_MIN, timeout / places)
    return [
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * MILLIS)),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_seconds * MILLIS)),
        # While a ping that probes the bandwidth is unanswered, gRPC sends no keepalive ping; its own
        # timeout of 60 s would then be what counts.
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout_seconds * MILLIS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MILLIS),
        # Despite its name gRPC reads this one as the timeout of a connection attempt.
        ("grpc.min_reconnect_backoff_ms", round(attempt_seconds * MILLIS)),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MILLIS),
        ("grpc.max_receive_message_length", settings.frame_bytes_max),
        ("grpc.max_send_message_length", settings.frame_bytes_max),
        # Without its own subchannels every channel of a process would share one connection.
        ("grpc.use_local_subchannel_pool", 1),
        # A bus is reached directly; an http_proxy variable is meant for the web.
        ("grpc.enable_http_proxy", 0),
        # Payloads are LZ4 already.
        ("grpc.default_compression_algorithm", 0),
    ]


class ChannelPool:
    """Up to `pool_size` channels to one coordinator, each a connection of its own, made when first used.

    The channel for control topics is one more and carries nothing else, so that a kill switch
    overtakes a full data connection. Of several coordinators only the active one serves: all channels lead to
    the same one, and are moved together when it is another (`OwnerSearch`).

    Args:
        addresses: Where coordinators are, or the only one.
        settings: How channels are kept.
    """

    def __init__(self, addresses: Address | Sequence[Address], settings: TransportSettings) -> None:
        keep_freed_blocks()
        places = (addresses,) if isinstance(addresses, Address) else tuple(addresses)
        self._search = OwnerSearch(places)
        self._settings = settings
        self._options = channel_options(settings, len(places))
        self._channels: list[grpc.aio.Channel] = []
        self._control: grpc.aio.Channel | None = None
        self._turn = 0
        self._closed = False
        self._reachability: Reachability | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._channels) + (self._control is not None)

    @property
    def address(self) -> Address:
        """Where the channels lead now."""
        return self._search.current

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where coordinators are, as it was told at first."""
        return self._search.places

    @property
    def has_choice(self) -> bool:
        """Whether the channels may be moved to somewhere else."""
        return self._search.has_choice

    @property
    def is_led(self) -> bool:
        """Whether a map of several groups says where to go (`GroupPool`)."""
        return False

    def is_foreign(self, error: NotOwnerError) -> bool:
        """Tell whether a refusal is about a topic of another group."""
        return False

    def refused(self, place: Address, error: NotOwnerError) -> bool:
        """Take note that a coordinator is not the active one; True = the channels lead elsewhere now."""
        try:
            owner = parse_address(error.owner) if error.owner else None
        except AddressError:
            owner = None  # Said by something that is no coordinator of ours.
        return self._moved(self._search.refused(place, owner, time.monotonic()))

    def lost(self, place: Address) -> bool:
        """Take note that nobody answers at a place; True = the channels lead elsewhere now."""
        return self._moved(self._search.lost(place, time.monotonic()))

    def _moved(self, moved: bool) -> bool:
        if not moved or self._closed:
            return False
        _log.info("going to %s", self.address)
        for channel in (*self._channels, *([self._control] if self._control else [])):
            if not isinstance(channel, MovableChannel):
                continue
            leaving = asyncio.create_task(channel.move().close(), name="leave a coordinator")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self.reachability()
        return True

    @property
    def lane_path(self) -> str | None:
        """Where the socket lane is looked for; None = nowhere."""
        return lane_socket(self.address) if self._settings.socket_lane else None

    @property
    def direct_path(self) -> str | None:
        """Where ends of direct routes are fetched; None = there are to be none."""
        return self.lane_path if self._settings.direct_lane else None

    def next(self) -> grpc.aio.Channel:
        """Return a channel, in turn; a long-lived stream asks once and keeps it."""
        self._check_open()
        if len(self._channels) < self._settings.pool_size:
            self._channels.append(self._open())
            return self._channels[-1]
        self._turn = (self._turn + 1) % len(self._channels)
        return self._channels[self._turn]

    def first(self) -> grpc.aio.Channel:
        """Return the oldest channel, for short unary requests."""
        self._check_open()
        return self._channels[0] if self._channels else self.next()

    def control(self) -> grpc.aio.Channel:
        """Return the channel that only control topics use."""
        self._check_open()
        if self._control is None:
            self._control = self._open()
        return self._control

    def reachability(self) -> Reachability:
        """Return what tells of outages and their ends; it asks over the oldest channel."""
        self._check_open()
        if self._reachability is None:
            self._reachability = Reachability(
                self.first(), lambda: self.has_choice, self._unreachable
            )
        return self._reachability

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"channels to {self.address} are closed: connect again")

    def _unreachable(self) -> None:
        self.lost(self.address)

    def _open(self) -> grpc.aio.Channel:
        return MovableChannel(self._channel, self)

    def _channel(self) -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(self.address.target, options=self._options)
        path = self.lane_path
        if path is None:
            return channel
        return SocketChannel(channel, path, frame_bytes_max=self._settings.frame_bytes_max)

    async def close(self) -> None:
        """Close every channel; streams still open end with CANCELLED."""
        self._closed = True
        if self._reachability is not None:
            await self._reachability.close()
        channels = [*self._channels, *([self._control] if self._control else [])]
        self._channels, self._control = [], None
        await asyncio.gather(*(channel.close() for channel in channels), *self._leaving)
