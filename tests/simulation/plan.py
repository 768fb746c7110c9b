"""What a run consists of, drawn from its seed: topics, producers, subscriptions and their habits."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from bellwire.bus.v1.publisher_pb2 import (
    ACK_LEVEL_PERSISTED,
    ACK_LEVEL_RECEIVED,
    ACK_LEVEL_UNSPECIFIED,
    AckLevel,
)
from bellwire.bus.v1.subscriber_pb2 import (
    ORDERING_NONE,
    ORDERING_PARTITION,
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_CONFLATE,
    OVERFLOW_POLICY_DISCONNECT,
    OVERFLOW_POLICY_DROP_OLDEST,
    OVERFLOW_POLICY_UNSPECIFIED,
    Ordering,
    OverflowPolicy,
)
from bellwire.client.settings import ClientSettings, PublishSettings, SubscribeSettings
from bellwire.coordinator.core.engine import EngineSettings
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.transport.channel import TransportSettings
from bellwire.wire.batch import BatchLimits

MESSAGE_BYTES_MAX: Final = 400
LIMITS: Final = BatchLimits(messages_max=12, bytes_max=3_000, message_bytes_max=MESSAGE_BYTES_MAX)
PLENTY: Final = 1 << 30
BUFFER_BYTES: Final = 1 << 20  # The least the settings take.


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """A subscription and how its members behave.

    Attributes:
        name: Empty = ephemeral.
        members: How many compete.
        window_messages, window_bytes: What each may have in flight.
        lease_millis: 0 = as long as the stream lives.
        release, reject, defer: Shares of messages that are given back, rejected, or settled later.
        auto: Whether iterating settles.
    """

    name: str
    topics: tuple[str, ...]
    ordering: Ordering.ValueType
    overflow_policy: OverflowPolicy.ValueType
    members: int
    window_messages: int
    window_bytes: int
    lease_millis: int
    max_attempts: int
    release: float
    reject: float
    defer: float
    auto: bool


@dataclass(frozen=True, slots=True)
class ProducerPlan:
    """A producer and what it publishes.

    Attributes:
        is_named: Whether each new instance fences the one before.
        messages: How many.
        burst: Messages without a pause between them, on average.
        expiring, delayed, poisonous, abandoned: Shares of messages that expire soon, must wait, kill who
            handles them, and are no longer waited for.
    """

    name: str
    topics: tuple[str, ...]
    is_named: bool
    ack_level: AckLevel.ValueType
    messages: int
    keys: int
    burst: int
    expiring: float
    delayed: float
    poisonous: float
    abandoned: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run.

    Attributes:
        seconds: Virtual seconds with faults; then all is healed and drained.
        faults_every: Mean virtual seconds between two faults.
        final_restart: Whether the drained coordinator is restarted once more.
    """

    seconds: float
    faults_every: float
    final_restart: bool
    engine: EngineSettings
    client: ClientSettings
    topics: dict[str, TopicSettings]
    subscriptions: tuple[SubscriptionPlan, ...]
    producers: tuple[ProducerPlan, ...]


def draw_plan(random: Random) -> Plan:
    """Draw a run."""
    topics = {f"orders.{index}": _topic(random) for index in range(random.randint(1, 3))}
    if random.random() < 0.8 and all(t.log is LogKind.MEMORY for t in topics.values()):
        topics["orders.0"] = _topic(random, durable=True)
    names = tuple(topics)
    subscriptions = [_subscription(random, f"desk-{i}", names) for i in range(random.randint(1, 3))]
    if random.random() < 0.6:
        subscriptions.append(_subscription(random, "", names))
    producers = tuple(_producer(random, index, names) for index in range(random.randint(1, 3)))
    return Plan(
        seconds=random.uniform(2.5, 6.0),
        faults_every=random.choice((0.25, 0.5, 1.0, 2.0)),
        final_restart=random.random() < 0.3,
        engine=_engine(random),
        client=_client(random),
        topics=topics,
        subscriptions=tuple(subscriptions),
        producers=producers,
    )


def _topic(random: Random, *, durable: bool = False) -> TopicSettings:
    small = random.random() < 0.35
    return TopicSettings(
        partition_count=random.choice((1, 1, 2, 3)),
        retention_messages=random.choice((16, 40, 80)) if small else PLENTY,
        retention_bytes=random.choice((4_000, PLENTY)) if small else PLENTY,
        overflow_policy=OVERFLOW_POLICY_UNSPECIFIED,
        log=LogKind.SQLITE if durable or random.random() < 0.7 else LogKind.MEMORY,
        retention_seconds=random.choice((0, 0, 0, 2)),
    )


def _subscription(random: Random, name: str, topics: tuple[str, ...]) -> SubscriptionPlan:
    policies = (
        OVERFLOW_POLICY_UNSPECIFIED,
        OVERFLOW_POLICY_BLOCK,
        OVERFLOW_POLICY_DROP_OLDEST,
        OVERFLOW_POLICY_CONFLATE,
        OVERFLOW_POLICY_DISCONNECT,
    )
    weights = (6, 3, 2, 1, 1)
    auto = random.random() < 0.3
    troubled = not auto and random.random() < 0.7
    return SubscriptionPlan(
        name=name,
        topics=tuple(random.sample(topics, random.randint(1, len(topics)))),
        ordering=random.choice((ORDERING_PARTITION, ORDERING_PARTITION, ORDERING_NONE)),
        overflow_policy=random.choices(policies, weights)[0],
        members=random.choice((1, 1, 2, 3)) if name else 1,
        window_messages=random.choice((1, 3, 8, 20, 60)),
        window_bytes=random.choice((MESSAGE_BYTES_MAX, 1_000, 3_000, 1 << 20)),
        lease_millis=random.choice((0, 0, 1_000)) if name else 0,
        max_attempts=random.choice((2, 3, 5)),
        release=random.choice((0.0, 0.05, 0.2)) if troubled else 0.0,
        reject=random.choice((0.0, 0.05)) if troubled and name else 0.0,
        defer=random.choice((0.0, 0.3)) if troubled else 0.0,
        auto=auto,
    )


def _producer(random: Random, index: int, topics: tuple[str, ...]) -> ProducerPlan:
    levels = (ACK_LEVEL_UNSPECIFIED, ACK_LEVEL_UNSPECIFIED, ACK_LEVEL_UNSPECIFIED)
    return ProducerPlan(
        name=f"feed-{index}",
        topics=tuple(random.sample(topics, random.randint(1, len(topics)))),
        is_named=random.random() < 0.4,
        ack_level=random.choice((*levels, ACK_LEVEL_RECEIVED)),
        messages=random.choice((15, 40, 80)),
        keys=random.choice((0, 1, 5)),
        burst=random.choice((1, 4, 15)),
        expiring=random.choice((0.0, 0.0, 0.1)),
        delayed=random.choice((0.0, 0.0, 0.05)),
        poisonous=random.choice((0.0, 0.0, 0.01)),
        abandoned=random.choice((0.0, 0.05)),
    )


def _engine(random: Random) -> EngineSettings:
    return EngineSettings(
        workers=2,
        worker_inbox_batches=random.choice((8, 256)),
        default_settings=TopicSettings(1, 1_000, PLENTY),
        auto_create_topics=False,
        limits=LIMITS,
        publish_window_messages=random.choice((12, 40, 200)),
        publish_window_bytes=random.choice((4_000, 1 << 20)),
        publish_wait_seconds=random.choice((0.5, 2.0)),
        heartbeat_seconds=1.0,
        max_attempts=3,
        store_queue_bytes=random.choice((3_000, 1 << 20)),
        store_cache_bytes=random.choice(
            (4_000, 16_000, 1 << 20)
        ),  # Above a few loads, as settings demand.
    )


def _client(random: Random) -> ClientSettings:
    return ClientSettings(
        timeout_seconds=2.0,
        heartbeat_seconds=1.0,
        reconnect_first_seconds=0.02,
        reconnect_max_seconds=0.3,
        publish=PublishSettings(
            batch_messages_max=random.choice((1, 4, 12)),
            batch_bytes_max=2_500,
            frame_batches_max=random.choice((1, 3, 8)),
            frames_in_flight_max=random.choice((1, 2, 4)),
            buffer_messages_max=random.choice((10, 60, 1_000)),
            buffer_bytes_max=BUFFER_BYTES,
        ),
        subscribe=SubscribeSettings(settle_linger_seconds=random.choice((0.0, 0.02, 0.1))),
        transport=TransportSettings(connect_timeout_seconds=1.0),
    )


__all__ = [
    "ACK_LEVEL_PERSISTED",
    "MESSAGE_BYTES_MAX",
    "Plan",
    "ProducerPlan",
    "SubscriptionPlan",
    "draw_plan",
]
