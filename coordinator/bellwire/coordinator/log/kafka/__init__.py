"""The Kafka store: durable topics as Kafka topics, and the rest of the state in a compacted one."""

from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.coordinator.log.kafka.store import KafkaStore

__all__ = ["KafkaSettings", "KafkaStore"]
