"""Settings of the coordinator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bellwire.wire.batch import BatchLimits
from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.kafka_security import KafkaSecurity
from bellwire.wire.settings import SettingsError, check_settings, setting
from bellwire.wire.topic import TopicPattern, check_topic_name

STATE_TOPIC: Final = "_bellwire_state"
GROUP_TOPICS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class CoordinatorSettings:
    """Everything a coordinator can be told; see `bellwire config show`."""

    listen: tuple[str, ...] = field(
        default=("127.0.0.1:7400",),
        metadata=setting(
            unit="",
            why="Loopback only: nothing is reachable from outside until somebody says so",
        ),
    )
    workers: int = field(
        default=16,
        metadata=setting(
            unit="workers",
            why="Owners of partitions: enough that a blocked partition rarely shares one, "
            "cheap because an idle worker costs no task switch",
            ge=1,
            le=1024,
        ),
    )
    worker_inbox_batches: int = field(
        default=1_024,
        metadata=setting(
            unit="batches",
            why="Batches that may wait in one worker for room in a topic; beyond, RESOURCE_EXHAUSTED",
            ge=1,
            le=1_000_000,
        ),
    )
    auto_create_topics: bool = field(
        default=True,
        metadata=setting(
            unit="", why="A first message needs no ceremony; switch off in production"
        ),
    )
    topics_max: int = field(
        default=10_000,
        metadata=setting(
            unit="topics",
            why="Symbols are keys, not topics; more topics is a mistake",
            ge=1,
            le=1_000_000,
        ),
    )
    subscriptions_max: int = field(
        default=10_000,
        metadata=setting(
            unit="subscriptions", why="Bounds what abandoned cursors may cost", ge=1, le=1_000_000
        ),
    )
    default_partitions: int = field(
        default=1,
        metadata=setting(
            unit="partitions",
            why="One keeps all keys of a topic in order; raise per topic",
            ge=1,
            le=1024,
        ),
    )
    retention_messages: int = field(
        default=100_000,
        metadata=setting(
            unit="messages",
            why="Memory topics keep the recent past for late subscribers, per partition",
            ge=1,
            le=100_000_000,
        ),
    )
    retention_bytes: int = field(
        default=32 << 20,
        metadata=setting(
            unit="bytes",
            why="As stored, per partition; keeps a coordinator with a few busy topics below 300 MB",
            ge=1 << 16,
            le=1 << 40,
        ),
    )
    data: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Folder of the durable store; empty = everything is kept in memory and gone with the process",
        ),
    )
    default_log: str = field(
        default="memory",
        metadata=setting(
            unit="",
            why="Log of topics created without one, auto-created ones too; sqlite needs `data`, kafka `kafka`",
            choices=("memory", "sqlite", "kafka"),
        ),
    )
    kafka: str = field(
        default="",
        metadata=setting(
            unit="HOST:PORT[,…]",
            why="Kafka brokers that keep the durable topics, instead of a folder; empty = none",
        ),
    )
    kafka_security: KafkaSecurity = field(default_factory=KafkaSecurity)
    kafka_state_topic: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Compacted Kafka topic of everything but messages; of two coordinators with one the later one writes; "
            "empty = `_bellwire_state`, and `_bellwire_state.NAME` for a group with a name",
        ),
    )
    kafka_replication_factor: int = field(
        default=-1,
        metadata=setting(
            unit="replicas",
            why="Of Kafka topics that are created; -1 = the brokers' default",
            ge=-1,
            le=32,
        ),
    )
    redis: str = field(
        default="",
        metadata=setting(
            unit="redis://HOST:PORT",
            why="Redis that keeps the lease of a group of coordinators, of which one is active; needs `kafka`; empty = "
            "this one is alone. May hold a password: better in the environment than in a file",
        ),
    )
    group: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Name of the group; empty = that of `kafka_state_topic`, so that who shares a store shares a lease",
        ),
    )
    group_topics: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            unit="topics or patterns",
            why="The group's own where several share `redis` and `kafka`; empty = all that no other group names",
        ),
    )
    group_lease_seconds: float = field(
        default=3.0,
        metadata=setting(
            unit="s",
            why="How long the others wait for an active one that says nothing; above its longest pause, the same in "
            "all of a group",
            ge=0.6,
            le=60,
        ),
    )
    advertise: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Address to which the others of the group send clients; empty = the first of `listen`",
        ),
    )
    agent_directory: str = field(
        default="default",
        metadata=setting(
            unit="",
            why="Groups with one `redis` and one directory call each other's agents; empty = only agents of this group",
        ),
    )
    durable_retention_messages: int = field(
        default=100_000_000,
        metadata=setting(
            unit="messages",
            why="Disk is the bound of durable topics, not memory; per partition",
            ge=1,
            le=100_000_000_000,
        ),
    )
    durable_retention_bytes: int = field(
        default=16 << 30,
        metadata=setting(
            unit="bytes",
            why="As stored, per partition: weeks of signals; set it below the size of the disk",
            ge=1 << 16,
            le=1 << 44,
        ),
    )
    store_queue_bytes: int = field(
        default=32 << 20,
        metadata=setting(
            unit="bytes",
            why="What may wait to be committed; beyond, publishers wait (BLOCK): seconds of a slow disk",
            ge=4 << 20,
            le=1 << 30,
        ),
    )
    store_cache_bytes: int = field(
        default=64 << 20,
        metadata=setting(
            unit="bytes",
            why="Entries of durable topics kept in memory for readers that keep up",
            ge=4 << 20,
            le=64 << 30,
        ),
    )
    store_checkpoint_pages: int = field(
        default=4_000,
        metadata=setting(
            unit="pages",
            why="Of 4 KiB in the write-ahead log before it is copied back, by a thread of its own: 16 MiB at a time "
            "gave the shortest longest commit",
            ge=100,
            le=1_000_000,
        ),
    )
    max_attempts: int = field(
        default=10,
        metadata=setting(
            unit="attempts",
            why="Deliveries of one message before it is a dead letter, unless its subscription says otherwise",
            ge=1,
            le=1_000,
        ),
    )
    dead_letters_max: int = field(
        default=10_000,
        metadata=setting(
            unit="messages",
            why="Dead letters kept per topic without `data`; beyond, the oldest go",
            ge=1,
            le=1_000_000,
        ),
    )
    results_max: int = field(
        default=100_000,
        metadata=setting(
            unit="results",
            why="Responses kept for idempotency keys; beyond, the oldest go",
            ge=1,
            le=10_000_000,
        ),
    )
    result_ttl_seconds: float = field(
        default=86_400.0,
        metadata=setting(
            unit="s",
            why="How long a request_id is remembered: a day of retries",
            gt=0,
            le=2_592_000,
        ),
    )
    batch_messages_max: int = field(
        default=1_000,
        metadata=setting(
            unit="messages", why="Above, batching gains little and latency suffers", ge=1, le=1_000
        ),
    )
    batch_bytes_max: int = field(
        default=1 << 20,
        metadata=setting(
            unit="bytes",
            why="Uncompressed; a frame of three stays below gRPC's 4 MiB, and so does the largest in plain form",
            ge=1 << 10,
            le=3 << 20,
        ),
    )
    message_bytes_max: int = field(
        default=512 << 10,
        metadata=setting(
            unit="bytes",
            why="Signals are hundreds of bytes; larger things belong elsewhere",
            ge=1,
            le=1 << 20,
        ),
    )
    publish_window_messages: int = field(
        default=100_000,
        metadata=setting(
            unit="messages",
            why="What one publish stream may have unacknowledged",
            ge=1_000,
            le=1_000_000,
        ),
    )
    publish_window_bytes: int = field(
        default=32 << 20,
        metadata=setting(
            unit="bytes",
            why="As sent; what one publish stream may have unacknowledged",
            ge=4 << 20,
            le=1 << 30,
        ),
    )
    publish_wait_seconds: float = field(
        default=30.0,
        metadata=setting(
            unit="s",
            why="How long a batch waits for a subscriber with policy BLOCK, then TOPIC_FULL",
            gt=0,
            le=3600,
        ),
    )
    heartbeat_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s", why="Idle streams say so this often; peers give up after three", gt=0, le=300
        ),
    )
    agent_lease_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s",
            why="An agent silent this long gets no calls; agents report every second",
            ge=1,
            le=300,
        ),
    )
    agents_max: int = field(
        default=1_000,
        metadata=setting(unit="agents", why="One stream each", ge=1, le=100_000),
    )
    calls_in_flight_max: int = field(
        default=10_000,
        metadata=setting(
            unit="calls",
            why="Bounds what waiting callers cost; beyond, RESOURCE_EXHAUSTED",
            ge=1,
            le=1_000_000,
        ),
    )
    call_timeout_seconds: float = field(
        default=5.0,
        metadata=setting(unit="s", why="Deadline of a call whose caller set none", gt=0, le=3600),
    )
    drain_grace_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s",
            why="Time for streams to settle after SIGTERM; below Kubernetes' 30 s",
            ge=0,
            le=600,
        ),
    )
    streams_max: int = field(
        default=1_000,
        metadata=setting(
            unit="streams", why="Concurrent RPCs of the whole server; beyond, RESOURCE_EXHAUSTED", ge=1, le=100_000
        ),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)
        if self.data and self.kafka:
            raise SettingsError(
                "coordinator", "kafka", self.kafka, "empty where durable topics are kept in `data`"
            )
        if self.redis and not self.kafka:
            raise SettingsError(
                "coordinator",
                "redis",
                "set",
                "empty without `kafka`, which a group of coordinators shares",
            )
        self._check_group()
        if self.default_log == "sqlite" and not self.data:
            raise SettingsError(
                "coordinator", "default_log", self.default_log, "memory, or a folder in `data`"
            )
        if self.default_log == "kafka" and not self.kafka:
            raise SettingsError(
                "coordinator", "default_log", self.default_log, "memory, or brokers in `kafka`"
            )

    def _check_group(self) -> None:
        if len(self.group_topics) > GROUP_TOPICS_MAX:
            raise SettingsError(
                "coordinator",
                "group_topics",
                len(self.group_topics),
                f"at most {GROUP_TOPICS_MAX} topics or patterns",
            )
        if self.group_topics and not self.redis:
            raise SettingsError(
                "coordinator",
                "group_topics",
                self.group_topics,
                "empty without `redis`, where groups tell each other what they have",
            )
        try:
            for text in self.group_topics:
                TopicPattern(text)
        except InvalidTopicNameError as error:
            raise SettingsError("coordinator", "group_topics", text, error.message) from None
        try:
            check_topic_name(self.state_topic)
        except InvalidTopicNameError as error:
            name, found = (
                ("kafka_state_topic", self.kafka_state_topic)
                if self.kafka_state_topic
                else ("group", self.group)
            )
            raise SettingsError("coordinator", name, found, error.message) from None

    @property
    def state_topic(self) -> str:
        """Kafka topic of everything but messages; its name is the transactional id, too."""
        if self.kafka_state_topic:
            return self.kafka_state_topic
        return f"{STATE_TOPIC}.{self.group}" if self.group else STATE_TOPIC

    @property
    def limits(self) -> BatchLimits:
        """What one batch may hold."""
        return BatchLimits(self.batch_messages_max, self.batch_bytes_max, self.message_bytes_max)
