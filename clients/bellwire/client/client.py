# ruff: noqa: ASYNC109 - `timeout` is the public name of a bound each method keeps by itself.
"""The client: one connection to the bus, and everything made from it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_NONE, ACK_LEVEL_UNSPECIFIED, AckLevel
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_UNSPECIFIED,
    OVERFLOW_POLICY_UNSPECIFIED,
    Ordering,
    OverflowPolicy,
    StartPosition,
)
from bellwire.client._calling import Calling
from bellwire.client._group_outbox import GroupOutbox
from bellwire.client._outbox import Outbox
from bellwire.client._routes import Routes, group_routes
from bellwire.client._subscribe_options import SubscribeOptions, check_direct
from bellwire.client.admin import Admin
from bellwire.client.agent_stream import AgentStream
from bellwire.client.errors import UnreachableError
from bellwire.client.protocol import SettleMode
from bellwire.client.publisher import CONTROL_PREFIX, Publisher
from bellwire.client.replay import Replay, replay_request
from bellwire.client.results import LatestMessage
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.client.subscription import Subscription
from bellwire.policy.topic_groups import GroupEntry
from bellwire.transport.address import Address, parse_addresses
from bellwire.transport.channel import ChannelPool
from bellwire.transport.group_pool import GroupPool
from bellwire.wire.errors import (
    BellwireError,
    ClosedError,
    DeadlineExceededError,
    NotImplementedYetError,
)

__all__ = ["Client", "connect"]

MILLIS: Final = 1_000

_log = logging.getLogger("bellwire.client")


def connect(address: str, settings: ClientSettings | None = None) -> Client:
    """Return a client for "host:port" or "unix:///path"; `async with` connects it.

    Several addresses with commas between are coordinators of a cluster. Of one group one is active: the client finds
    it, and the next one when that goes away. Where several groups share out the topics (docs/cluster.md), any address
    of any of them will do: the client learns which group has which topic, and sends and asks everything there.
    Agents, calls and `admin.server_info` are with the group that it came to first.

    Raises:
        AddressError: The address is malformed.
    """
    return Client(address, settings)


class Client(Calling):
    """One connection to the bus: a few persistent channels, and the streams on them.

    Use it from the event loop that opened it. Lost connections are opened again by themselves; what was
    published and not acknowledged is sent again, subscriptions go on where they were.
    """

    def __init__(
        self,
        address: str,
        settings: ClientSettings | None = None,
        *,
        pool: ChannelPool | None = None,
        topic_groups: Sequence[GroupEntry] | None = None,
    ) -> None:
        """Prepare a client; nothing is sent before `async with`.

        Args:
            address: "host:port" or "unix:///path", or several with commas between.
            settings: None = the defaults.
            pool: Channels to use instead of those to the address, to one coordinator; the client closes them.
            topic_groups: Groups of coordinators to know instead of asking; the first one is that of the address.
        """
        addresses = parse_addresses(address)
        settings = settings or ClientSettings()
        self._pool = GroupPool(addresses, settings.transport) if pool is None else pool
        super().__init__(self._pool, settings)
        self.client_id = settings.client_id or f"{socket.gethostname()}-{os.getpid()}"
        self._routes = Routes(self._pool, self.settings, self.client_id)
        self._all_routes = [self._routes]  # Those of before it was connected may be in use.
        self._topic_groups = topic_groups
        self._publishers: dict[tuple[str, int, str], Publisher] = {}
        self._open: set[Subscription | AgentStream | Replay] = set()
        self._entered = False
        self._closed = False

    @property
    def address(self) -> Address:
        """Where the coordinator is that the client talks to now."""
        return self._pool.address

    @property
    def admin(self) -> Admin:
        """Topics, subscriptions, dead letters, agents and the server itself."""
        return self._routes.admin

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UnreachableError: Nobody answered at the address in time.
        """
        self._check_open()
        self._entered = True
        seconds = self.settings.transport.connect_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                if self._pool.has_choice:
                    self._pool.reachability()  # It goes on to the next when one cannot be reached.
                await self._pool.first().channel_ready()
                await self._learn_groups()
        except (TimeoutError, DeadlineExceededError):
            await self.close()
            raise UnreachableError(
                f"no coordinator at {self._where()} within {seconds:g} s: "
                "is `bellwire serve` running, and listening there?",
                metadata={"address": self._where()},
            ) from None
        except BaseException:
            await self.close()
            raise
        return self

    async def _learn_groups(self) -> None:
        routes = await group_routes(self._pool, self._topic_groups, self.settings, self.client_id)
        if routes is not None:
            self._routes = routes
            self._all_routes.append(routes)
            self._publishers.clear()  # What was made before goes to the home group only.

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except BellwireError as unsent:
            if error is None:
                raise
            _log.warning("while leaving after %r: %s", error, unsent.message)

    def publisher(
        self,
        source: str = "",
        *,
        ack_level: AckLevel.ValueType = ACK_LEVEL_UNSPECIFIED,
        producer_name: str = "",
    ) -> Publisher:
        """Return the publisher for a source; the same one each time.

        Publishers share streams, one per acknowledgement level and one more for control topics. A named
        producer has a stream of its own, for all its topics.

        Args:
            source: Goes into the messages it makes, for example "agents/feed-0".
            ack_level: How far a message must have come; UNSPECIFIED = the topic's default.
            producer_name: Stable name of a producer that must never run twice, for example
                "execution/paper-0". Its newest instance fences all older ones: they fail for good with
                `ProducerFencedError`. Empty = unnamed.

        Raises:
            NotImplementedYetError: Level NONE: without acknowledgements nothing would bound what is
                in flight.
            CallerError: The named producer publishes at another level already.
        """
        self._check_open()
        if ack_level == ACK_LEVEL_NONE:
            raise NotImplementedYetError(
                "ACK_LEVEL_NONE is not offered by the client: use `enqueue` and ignore its future"
            )
        key = (source, ack_level, producer_name)
        publisher = self._publishers.get(key)
        if publisher is None:
            outboxes = self._routes.outboxes
            data: Outbox | GroupOutbox
            control: Outbox | GroupOutbox
            if producer_name:
                data = control = outboxes.named(producer_name, ack_level)
            else:
                data = outboxes.shared(ack_level, control=False)
                control = outboxes.shared(ack_level, control=True)
            unary = self._routes.unary_publisher(ack_level)
            seconds = self.settings.timeout_seconds
            publisher = Publisher(source, data, control, unary, seconds)
            self._publishers[key] = publisher
        return publisher

    def subscribe(
        self,
        *topics: str,
        subscription: str = "",
        settle: SettleMode = "auto",
        start: StartPosition | None = None,
        window_messages: int | None = None,
        window_bytes: int | None = None,
        max_batch_messages: int = 0,
        ordering: Ordering.ValueType = ORDERING_UNSPECIFIED,
        overflow_policy: OverflowPolicy.ValueType = OVERFLOW_POLICY_UNSPECIFIED,
        max_attempts: int = 0,
        lease_seconds: float | None = None,
        direct: bool = False,
        on_settle_failure: Callable[[SettleFailure], None] | None = None,
    ) -> Subscription:
        """Return a subscription; nothing is sent before `async with`.

        Args:
            *topics: Topics or patterns: `*` is one dot-token, `>` the rest.
            subscription: Name; members of one name compete, and its cursor stays when they leave.
                Empty = ephemeral: this subscription alone gets every message from now on.
            settle: "auto" accepts a delivery when the next one is asked for; "manual" leaves it to you.
            start: Where a new cursor begins, from `bellwire.client.start`; None = EARLIEST for a name,
                LATEST for none.
            window_messages: Messages in flight, a hard limit; None = the setting.
            window_bytes: Uncompressed bytes in flight, a hard limit; None = the setting.
            max_batch_messages: Most messages in one delivery; 0 = as they were published.
            ordering: How deliveries are spread over the members.
            overflow_policy: What happens when this subscriber cannot keep up.
            max_attempts: Deliveries of a message before it is dead-lettered, 1..1,000, fixed by the first
                member; 0 = the coordinator's default.
            lease_seconds: What is not settled or renewed for so long is delivered again, 1..600 with ms
                resolution: whoever handles it may hang. None = as long as the stream lives.
            direct: Take messages of publishers on the same host past the coordinator where topic and lane
                allow it, and from the coordinator where they do not. Direct messages have no offset (-1) and
                are ordered per publisher and partition; see docs/lanes.md.
            on_settle_failure: Told of each disposition the coordinator refused.

        Raises:
            CallerError: `direct` with a named subscription, a lease, CONFLATE or `max_batch_messages`.
        """
        self._check_open()
        if direct:
            check_direct(subscription, lease_seconds, max_batch_messages, overflow_policy)
        defaults = self.settings.subscribe
        options = SubscribeOptions(
            topics=topics,
            subscription=subscription,
            client_id=self.client_id,
            start=start,
            window_messages=defaults.window_messages
            if window_messages is None
            else window_messages,
            window_bytes=defaults.window_bytes if window_bytes is None else window_bytes,
            max_batch_messages=max_batch_messages,
            ordering=ordering,
            overflow_policy=overflow_policy,
            control=bool(topics) and all(topic.startswith(CONTROL_PREFIX) for topic in topics),
            max_attempts=max_attempts,
            lease_millis=0 if lease_seconds is None else round(lease_seconds * MILLIS),
            direct=direct,
        )
        opened = self._routes.subscription(
            options,
            auto=settle == "auto",
            on_settle_failure=on_settle_failure,
            on_close=self._open.discard,
        )
        self._open.add(opened)
        return opened

    def replay(
        self,
        *topics: str,
        start: StartPosition | None = None,
        until_time_unix_nano: int = 0,
        speed: float = 1.0,
    ) -> Replay:
        """Return a stretch of the log again, merged over its partitions by message time.

        Expired messages come too, every batch is marked `replayed`, and no cursor moves.

        Args:
            *topics: Topics or patterns.
            start: Where it begins, from `bellwire.client.start`; None = EARLIEST.
            until_time_unix_nano: Message time where it ends; 0 = at the end of the log as it is now.
            speed: 1 = the original pace by message time, N = N times faster, 0 = as fast as possible.
        """
        self._check_open()
        request = replay_request(topics, start, until_time_unix_nano, speed)
        replay = self._routes.replay(request, self._open.discard)
        self._open.add(replay)
        return replay

    async def latest(
        self, topic: str, *keys: str, timeout: float | None = None
    ) -> dict[str, LatestMessage]:
        """Return the last message of each key, of a topic whose last messages the coordinator keeps.

        It is as fresh as a subscription: all that could be read when this was asked. Keys without a message are not in
        it.

        Args:
            topic: Named by the coordinator's setting `cache.latest`.
            *keys: As published, any number.
            timeout: Seconds; of each thousand keys.

        Raises:
            LatestNotKeptError: The coordinator does not keep them.
            UnknownTopicError: There is no such topic.
            DeadlineExceededError: No answer in time.
        """
        self._check_open()
        return await self._routes.latest(topic, keys, self._seconds(timeout))

    async def latest_of_recent(
        self, topic: str, count: int, *, timeout: float | None = None
    ) -> dict[str, LatestMessage]:
        """Return the last message of the keys of a topic that were published last, newest first.

        Args:
            topic: Named by the coordinator's setting `cache.latest`.
            count: Keys, 1 to 1,000.
            timeout: Seconds.

        Raises:
            CallerError, LatestNotKeptError, UnknownTopicError, DeadlineExceededError: See `latest`.
        """
        self._check_open()
        return await self._routes.recent(topic, count, self._seconds(timeout))

    def agent_stream(self, agent: Agent, *, lease_seconds: float = 10.0) -> AgentStream:
        """Return the stream that registers an agent; nothing is sent before `async with`.

        Args:
            agent: Who registers; `agent_id` is unique on the bus.
            lease_seconds: 1..300; silent for so long, the agent counts as gone.
        """
        self._check_open()
        stream = AgentStream(self._pool, self.settings, agent, lease_seconds, self._open.discard)
        self._open.add(stream)
        return stream

    async def close(self) -> None:
        """Flush, end every stream and close every channel; safe to call twice.

        Raises:
            DeadlineExceededError: Messages were still unacknowledged after `timeout_seconds`; all else
                is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        seconds = self.settings.timeout_seconds
        results = await asyncio.gather(
            *(opened.close() for opened in tuple(self._open)),
            *(routes.outboxes.close(seconds) for routes in self._all_routes),
            return_exceptions=True,
        )
        await self._routes.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _where(self) -> str:
        return ",".join(map(str, self._pool.addresses))

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"client of {self.address} is closed: connect again")
