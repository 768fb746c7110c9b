"""What is measured: the loads, on which systems, and how long and how often each is applied."""

from dataclasses import dataclass
from typing import Final

ROUNDS_DEFAULT: Final = 3  # An odd number, so that the median is a round that happened.
ROUNDS_QUICK: Final = 1


@dataclass(frozen=True, slots=True)
class Suite:
    """Systems that keep the same promise and are therefore measured beside each other."""

    peers: tuple[str, ...]
    ratios: tuple[tuple[str, str], ...]
    """Head of a column and the system that everything is divided by in it."""
    durable: bool = False

    @property
    def reference(self) -> str | None:
        """The system that is measured again and again between the others; None = nobody."""
        return self.ratios[0][1] if self.ratios else None


_BELLWIRE_LANES: Final = ("bellwire_tcp", "bellwire_unix", "bellwire_socket", "bellwire_direct")
_AGENT_BUSES: Final = ("autogen", "slim")
_TIMES: Final = (("× NATS", "nats"), ("× stream", "grpc_stream"))
MEMORY: Final = Suite(
    ("nats", "redis_pubsub", "grpc_unary", "grpc_stream", *_AGENT_BUSES, *_BELLWIRE_LANES),
    (*_TIMES, ("× unary", "grpc_unary")),
)
# Systems for which a larger batch is something else, and the one that all are divided by.
BATCHED: Final = Suite(("nats", "redis_pubsub", "grpc_stream", *_BELLWIRE_LANES), _TIMES)
LOADED: Final = Suite(("nats", "bellwire_tcp", "bellwire_socket"), (("× NATS", "nats"),))
DURABLE: Final = Suite(
    ("jetstream", "jetstream_always", "redis_always", "bellwire_durable"),
    (
        ("× JetStream", "jetstream"),
        ("× always", "jetstream_always"),
        ("× Redis", "redis_always"),
    ),
    durable=True,
)
REPLICATED: Final = Suite(
    ("confluent_kafka", "aiokafka", "bellwire_kafka"),
    (("× confluent", "confluent_kafka"), ("× aiokafka", "aiokafka")),
    durable=True,
)
# What a peer is to carry here is the same payload; NATS takes up to a megabyte by default.
COLUMNS: Final = Suite(("nats", "bellwire_tcp", "bellwire_socket"), (("× NATS", "nats"),))


@dataclass(frozen=True, slots=True)
class Latency:
    """Open-loop load at a fixed rate; each message is timed from its intended send to decode."""

    name: str
    title: str
    rate_per_second: int
    batch_messages_max: int | None = None
    suite: Suite = MEMORY


@dataclass(frozen=True, slots=True)
class Throughput:
    """As many messages as the system takes; timed from the first encode to the last decode."""

    name: str
    title: str
    batch_messages_max: int
    suite: Suite = MEMORY


@dataclass(frozen=True, slots=True)
class ColumnFlood:
    """As many L2 updates as the system takes, thousands to a message; counted in updates."""

    name: str
    title: str
    rows_per_message: int
    builds_book: bool = False
    """The subscriber also keeps an order book of them."""
    narrow: bool = False
    """Columns are written in as few bytes as their span needs."""
    batch_messages_max: int | None = None
    suite: Suite = COLUMNS


@dataclass(frozen=True, slots=True)
class Commit:
    """One message at a time; each is timed from publish to its acknowledgement."""

    name: str
    title: str
    batch_messages_max: int | None = None
    suite: Suite = DURABLE


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Which systems take the parts of a run in which two topics share a broker."""

    paced: str
    """Publishes and subscribes at a fixed rate, in memory; its latency is what is measured."""
    in_memory: str
    """Publishes flat out into another topic in memory: what a busy machine costs by itself."""
    durable: str
    """Publishes flat out into a durable topic."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Latency in memory, alone and while somebody else keeps the same broker busy."""

    name: str
    title: str
    rate_per_second: int
    neighbourhoods: tuple[tuple[str, Neighbourhood], ...]
    """By the system that is the broker."""
    batch_messages_max: int | None = None

    @property
    def suite(self) -> Suite:
        """Give the brokers; nobody is divided by another, each only by itself alone."""
        return Suite(tuple(peer for peer, _ in self.neighbourhoods), ())


@dataclass(frozen=True, slots=True)
class Study:
    """A question with figures of its own, measured only when it is named; see `studies`."""

    name: str
    title: str
    peers: tuple[str, ...] = ("bellwire_tcp",)
    durable: bool = False

    @property
    def suite(self) -> Suite:
        """Give the systems; the study itself divides them, if at all."""
        return Suite(self.peers, (), self.durable)


@dataclass(frozen=True, slots=True)
class Levels:
    """Open-loop load that rises from level to level, in the same processes."""

    name: str
    title: str
    rates_per_second: tuple[int, ...]
    batch_messages_max: int | None = None
    suite: Suite = LOADED


Scenario = Latency | Throughput | ColumnFlood | Commit | Beside | Levels | Study

_BELLWIRE = Neighbourhood("bellwire_tcp", "bellwire_neighbour", "bellwire_durable")
_JETSTREAM = Neighbourhood("nats", "nats_neighbour", "jetstream")
_JETSTREAM_ALWAYS = Neighbourhood("nats", "nats_neighbour", "jetstream_always")
SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Latency("latency-1k", "One-way latency, paced 1 message per ms", 1_000),
        Latency("latency-10k", "One-way latency, paced 10 k messages/s", 10_000),
        Throughput("throughput-100", "Throughput, batches of at most 100", 100),
        Throughput("throughput-1000", "Throughput, batches of at most 1,000", 1_000, BATCHED),
        ColumnFlood("columns-1000", "Columnar L2 updates, 1,000 to a message", 1_000),
        ColumnFlood("columns-4000", "Columnar L2 updates, 4,000 to a message", 4_000),
        ColumnFlood(
            "columns-narrow", "Columnar L2 updates, 4,000 to a message, narrow", 4_000, narrow=True
        ),
        ColumnFlood(
            "columns-book", "Columnar L2 updates, 1,000 to a message, into a book", 1_000, True
        ),
        Levels("load", "Open-loop load, level by level", (1_000, 5_000, 10_000, 20_000, 50_000)),
        Latency(
            "durable-latency-1k",
            "PERSISTED, one-way latency, paced 1 message per ms",
            1_000,
            suite=DURABLE,
        ),
        Latency(
            "durable-latency-10k",
            "PERSISTED, one-way latency, paced 10 k messages/s",
            10_000,
            suite=DURABLE,
        ),
        Throughput(
            "durable-throughput-100",
            "PERSISTED, end to end, batches of at most 100",
            100,
            suite=DURABLE,
        ),
        Throughput(
            "durable-throughput-1000",
            "PERSISTED, end to end, batches of at most 1,000",
            1_000,
            suite=DURABLE,
        ),
        Commit("durable-commit", "PERSISTED, publish to acknowledgement, one message at a time"),
        Beside(
            "durable-beside",
            "One-way latency of a memory topic at 1 message per ms, beside another one flat out",
            1_000,
            (
                ("jetstream", _JETSTREAM),
                ("jetstream_always", _JETSTREAM_ALWAYS),
                ("bellwire_durable", _BELLWIRE),
            ),
        ),
        Latency(
            "kafka-latency-1k",
            "On one Kafka broker, one-way latency, paced 1 message per ms",
            1_000,
            suite=REPLICATED,
        ),
        Throughput(
            "kafka-throughput-1000",
            "On one Kafka broker, end to end, batches of at most 1,000",
            1_000,
            suite=REPLICATED,
        ),
        Study("curves", "Cost as the bus grows"),
        Study(
            "slow-subscriber",
            "A fast subscriber beside one that reads 1 %",
            ("bellwire_tcp", "bellwire_socket"),
            durable=True,
        ),
        Study("payload", "The demo's stream beside JSON over HTTP"),
        Study("tracing", "Throughput with tracing"),
        Study("cache", "The cache of calls"),
        Study("restart", "A killed agent, cold and with a warm spare"),
        Study("sink", "The analytic sink's writes", durable=True),
        Study("inference", "The tactical network"),
        Study(
            "inference-bus",
            "The tactical network in another process",
            ("bellwire_tcp", "bellwire_socket", "litserve"),
        ),
        Study("inference-batcher", "The inference batcher"),
    )
}


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of load in one measurement; the warm-up is left out of every figure."""

    warm_up_seconds: float
    load_seconds: float


# 80 measurements per round with about 1.5 s of process start each: three rounds stay below 25
# minutes and give 9,000 latencies at 1/ms over all rounds, 9 of them beyond p99.9.
DURATIONS_DEFAULT: Final = Durations(warm_up_seconds=0.5, load_seconds=3.0)
# One round of a few minutes: does it work, and which order of magnitude is it.
DURATIONS_QUICK: Final = Durations(warm_up_seconds=0.3, load_seconds=1.5)
