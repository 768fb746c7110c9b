"""Where the Kafka of the store is, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.wire.kafka_security import KafkaSecurity

__all__ = ["KafkaSettings"]


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Which brokers, and how long to wait for them.

    Attributes:
        bootstrap: HOST:PORT[,HOST:PORT…].
        state_topic: Compacted topic of the state; its name is the transactional id, too, so that of two
            coordinators with one state the later one fences the earlier one.
        replication_factor: Of the topics that are created; -1 = the broker's default.
        request_seconds: Longest wait for an answer before a request is tried again.
        transaction_seconds: After which the broker aborts what nobody ends.
        retry_seconds: First and longest pause between two tries while it is away.
        security: What it asks for before it answers.
        address: Of this coordinator, for the one that it fences; empty = not told.
    """

    bootstrap: str
    state_topic: str = "_bellwire_state"
    replication_factor: int = -1
    request_seconds: float = 5.0
    transaction_seconds: float = 30.0
    retry_seconds: tuple[float, float] = (0.1, 2.0)
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    address: str = ""
