"""What a bridge may be told, with the reason of each default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bellwire.bridge.route import Route
from bellwire.wire.errors import InvalidTopicNameError
from bellwire.wire.kafka_security import KafkaSecurity
from bellwire.wire.settings import SettingsError, check_settings, setting

__all__ = ["BridgeSettings"]

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Which topics are mirrored, between which bus and which Kafka, and how long to wait for either."""

    kafka: str = field(
        default="127.0.0.1:9092",
        metadata=setting(
            unit="", why="HOST:PORT of brokers, comma between; where `make kafka` listens"
        ),
    )
    kafka_security: KafkaSecurity = field(default_factory=KafkaSecurity)
    name: str = field(
        default="bridge",
        metadata=setting(
            unit="",
            why="Subscriptions and consumer groups are NAME.TOPIC: another name begins from the start",
        ),
    )
    bus: str = field(
        default="bellwire",
        metadata=setting(
            unit="", why="Name of this bus in records; what bears it is never brought back"
        ),
    )
    out_topics: tuple[str, ...] = field(
        default=(),
        metadata=setting(unit="", why="Bus to Kafka: TOPIC, TOPIC=KAFKA_TOPIC or a pattern; none"),
    )
    out_prefix: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Before names in Kafka that no route gives; needed on the Kafka of the bus's own durable topics",
        ),
    )
    in_topics: tuple[str, ...] = field(
        default=(),
        metadata=setting(unit="", why="Kafka to bus: KAFKA_TOPIC or KAFKA_TOPIC=TOPIC; none"),
    )
    partitions: int = field(
        default=0,
        metadata=setting(
            unit="partitions",
            why="A Kafka topic needs at least so many, and is made with them; 0 = outwards as the bus "
            "topic has, inwards any",
            ge=0,
            le=10_000,
        ),
    )
    create_topics: bool = field(
        default=True,
        metadata=setting(
            unit="", why="Makes Kafka topics that are missing, dead letters' included"
        ),
    )
    replication_factor: int = field(
        default=-1,
        metadata=setting(
            unit="copies", why="Of topics that are made; -1 = as the broker is set", ge=-1, le=100
        ),
    )
    record_bytes_max: int = field(
        default=1_000_000,
        metadata=setting(
            unit="bytes",
            why="Below a broker's message.max.bytes of 1 MiB by what surrounds a record",
            ge=1_000,
            le=16 << 20,
        ),
    )
    round_messages_max: int = field(
        default=10_000,
        metadata=setting(
            unit="messages",
            why="Sent together: as many as a subscription's window holds",
            ge=1,
            le=100_000,
        ),
    )
    publish_messages_max: int = field(
        default=500,
        metadata=setting(
            unit="messages",
            why="Records published in one request, of 1,000 allowed",
            ge=1,
            le=1_000,
        ),
    )
    publish_bytes_max: int = field(
        default=512 << 10,
        metadata=setting(
            unit="bytes", why="Half of what the bus takes in one batch", ge=1 << 10, le=1 << 20
        ),
    )
    connect_seconds: float = field(
        default=30.0,
        metadata=setting(unit="s", why="A broker takes about ten to start", gt=0, le=3600),
    )
    outage_seconds_max: float = field(
        default=300.0,
        metadata=setting(
            unit="s",
            why="Kafka or the bus away for so long ends the bridge: whoever watches it should know",
            gt=0,
            le=86_400,
        ),
    )
    probe_seconds: float = field(
        default=2.0,
        metadata=setting(unit="s", why="How soon a broker that went away is noticed", gt=0, le=60),
    )
    retry_first_seconds: float = field(
        default=0.1,
        metadata=setting(unit="s", why="Upper bound of the first, jittered delay", gt=0, le=60),
    )
    retry_max_seconds: float = field(
        default=5.0, metadata=setting(unit="s", why="Upper bound of every delay", gt=0, le=300)
    )
    stop_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s", why="For what is under way when the bridge is stopped", gt=0, le=600
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("name", "bus"):
            if _NAME.fullmatch(getattr(self, name)) is None:
                raise SettingsError(
                    "bridge", name, getattr(self, name), "1 to 64 characters of [a-zA-Z0-9._-]"
                )
        if self.out_prefix and _NAME.fullmatch(self.out_prefix) is None:
            raise SettingsError(
                "bridge", "out_prefix", self.out_prefix, "up to 64 characters of [a-zA-Z0-9._-]"
            )
        if not self.kafka:
            raise SettingsError("bridge", "kafka", self.kafka, "HOST:PORT of at least one broker")
        if self.retry_first_seconds > self.retry_max_seconds:
            raise SettingsError(
                "bridge",
                "retry_first_seconds",
                self.retry_first_seconds,
                "at most retry_max_seconds",
            )
        self._check_routes("out_topics", self.out_topics, patterns=True)
        self._check_routes("in_topics", self.in_topics, patterns=False)

    @property
    def out_routes(self) -> list[Route]:
        """From the bus to Kafka."""
        prefix = self.out_prefix
        return [Route.parse(text, patterns=True, prefix=prefix) for text in self.out_topics]

    @property
    def in_routes(self) -> list[Route]:
        """From Kafka to the bus."""
        return [Route.parse(text, patterns=False) for text in self.in_topics]

    def _check_routes(self, name: str, texts: tuple[str, ...], *, patterns: bool) -> None:
        seen = set()
        for text in texts:
            try:
                route = Route.parse(text, patterns=patterns)
            except InvalidTopicNameError as error:
                raise SettingsError(
                    "bridge", name, text, f"another route: {error.message}"
                ) from None
            if route.source in seen:
                raise SettingsError(
                    "bridge", name, text, f"each source once, not {route.source!r} twice"
                )
            seen.add(route.source)
