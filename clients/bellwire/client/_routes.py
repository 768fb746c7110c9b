"""What a client does at one coordinator or one group of them, and what it does at several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from bellwire.bus.v1.publisher_pb2 import AckLevel
from bellwire.bus.v1.subscriber_pb2 import ReplayRequest
from bellwire.client._group_admin import GroupAdmin
from bellwire.client._group_outboxes import GroupOutboxes
from bellwire.client._groups import Groups
from bellwire.client._latest import latest_messages, recent_messages
from bellwire.client._map_reader import cluster_of, entries_of
from bellwire.client._merged_replay import MergedReplay
from bellwire.client._merged_subscription import MergedSubscription
from bellwire.client._outboxes import Outboxes
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client._subscribe_options import SubscribeOptions
from bellwire.client._unary_publisher import GroupUnaryPublisher, UnaryPublisher
from bellwire.client.admin import Admin
from bellwire.client.replay import Replay
from bellwire.client.results import LatestMessage
from bellwire.client.settings import ClientSettings
from bellwire.client.settle_failure import SettleFailure
from bellwire.client.subscription import Subscription
from bellwire.policy.topic_groups import GroupEntry
from bellwire.transport.channel import ChannelPool
from bellwire.transport.group_pool import GroupPool

PART_BYTES_MIN: Final = 4 << 20  # The largest block: a part must take any topic's largest message.

__all__ = ["GroupRoutes", "Routes", "group_routes"]

OnSettleFailure = Callable[[SettleFailure], None]


class Routes:
    """Everything goes over one pool of channels.

    Attributes:
        outboxes: The publish streams.
        admin: The administrative requests.
    """

    def __init__(self, pool: ChannelPool, settings: ClientSettings, client_id: str) -> None:
        self._pool = pool
        self._settings = settings
        self.outboxes: Outboxes | GroupOutboxes = Outboxes(pool, settings, client_id)
        self.admin = Admin(pool, settings.timeout_seconds)

    def unary_publisher(self, ack_level: AckLevel.ValueType) -> UnaryPublisher:
        """Return what publishes by single requests."""
        return UnaryPublisher(self._pool, ack_level)

    def subscription(
        self,
        options: SubscribeOptions,
        *,
        auto: bool,
        on_settle_failure: OnSettleFailure | None,
        on_close: Callable[[Subscription], None],
    ) -> Subscription:
        """Return a subscription that is not open yet."""
        return StreamSubscription(
            self._pool,
            self._settings,
            options,
            auto=auto,
            on_settle_failure=on_settle_failure,
            on_close=on_close,
        )

    def replay(self, request: ReplayRequest, on_close: Callable[[Replay], None]) -> Replay:
        """Return a replay that has not begun yet."""
        return Replay(self._pool, request, on_close, self._settings.timeout_seconds)

    async def latest(
        self, topic: str, keys: Sequence[str], seconds: float
    ) -> dict[str, LatestMessage]:
        """Return the last messages of keys."""
        return await latest_messages(self._pool, topic, keys, seconds)

    async def recent(self, topic: str, count: int, seconds: float) -> dict[str, LatestMessage]:
        """Return the last messages of the keys published last."""
        return await recent_messages(self._pool, topic, count, seconds)

    async def close(self) -> None:
        """Close the channels."""
        await self._pool.close()


class GroupRoutes(Routes):
    """Everything goes to the group of coordinators that owns the topic."""

    def __init__(self, groups: Groups, settings: ClientSettings, client_id: str) -> None:
        super().__init__(groups.home_pool, settings, client_id)
        self._groups = groups
        self.outboxes = GroupOutboxes(groups, settings, client_id)
        self.admin = GroupAdmin(groups, settings.timeout_seconds)

    def unary_publisher(self, ack_level: AckLevel.ValueType) -> UnaryPublisher:
        """Return what publishes by single requests, each to the group that owns its topic."""
        return GroupUnaryPublisher(self._groups, ack_level)

    def subscription(
        self,
        options: SubscribeOptions,
        *,
        auto: bool,
        on_settle_failure: OnSettleFailure | None,
        on_close: Callable[[Subscription], None],
    ) -> Subscription:
        """Return a subscription with a part for each group concerned; they share the window."""

        def make(pool: ChannelPool, topics: tuple[str, ...], shares: int) -> StreamSubscription:
            part = replace(
                options,
                topics=topics,
                elsewhere=tuple(topic for topic in options.topics if topic not in topics),
                window_messages=max(1, options.window_messages // shares),
                window_bytes=max(
                    min(options.window_bytes, PART_BYTES_MIN), options.window_bytes // shares
                ),
            )
            return StreamSubscription(
                pool, self._settings, part, auto=auto, on_settle_failure=on_settle_failure
            )

        return MergedSubscription(
            self._groups,
            options.topics,
            options.subscription,
            make,
            auto=auto,
            timeout_seconds=self._settings.timeout_seconds,
            on_close=on_close,
        )

    def replay(self, request: ReplayRequest, on_close: Callable[[Replay], None]) -> Replay:
        """Return a replay of all groups concerned."""
        seconds = self._settings.timeout_seconds

        def make(pool: ChannelPool, topics: tuple[str, ...], speed: float) -> Replay:
            part = ReplayRequest()
            part.CopyFrom(request)
            part.topics[:] = topics
            part.speed = speed
            return Replay(pool, part, owner_seconds=seconds)

        return MergedReplay(
            self._groups,
            tuple(request.topics),
            make,
            speed=request.speed,
            seconds=seconds,
            on_close=on_close,
        )

    async def latest(
        self, topic: str, keys: Sequence[str], seconds: float
    ) -> dict[str, LatestMessage]:
        """Return the last messages of keys."""
        return await self._groups.at_owner(
            topic, seconds, lambda pool, left: latest_messages(pool, topic, keys, left)
        )

    async def recent(self, topic: str, count: int, seconds: float) -> dict[str, LatestMessage]:
        """Return the last messages of the keys published last."""
        return await self._groups.at_owner(
            topic, seconds, lambda pool, left: recent_messages(pool, topic, count, left)
        )

    async def close(self) -> None:
        """Close the channels to every group."""
        await self._groups.close()


async def group_routes(
    pool: ChannelPool,
    entries: Sequence[GroupEntry] | None,
    settings: ClientSettings,
    client_id: str,
) -> GroupRoutes | None:
    """Ask whether there are groups of coordinators that share out the topics; if so, go by their map.

    Args:
        pool: To the group that the client comes to first.
        entries: Groups to know instead of asking; the first one is that of the pool.
        settings: Of the client.
        client_id: Of the client.

    Raises:
        DeadlineExceededError: Nobody answered in `connect_timeout_seconds`.
    """
    if not isinstance(pool, GroupPool):
        return None
    if entries is not None:
        home = entries[0].group
    else:
        cluster = await cluster_of(pool, settings.transport.connect_timeout_seconds)
        if cluster is None:
            return None
        home, entries = cluster.group, entries_of(cluster)
    groups = Groups(pool, home, pool.addresses, settings, entries)
    return GroupRoutes(groups, settings, client_id)
