"""The bridge: topics of the bus mirrored to Kafka, and Kafka's topics to the bus. Needs `bellwire[kafka]` to run."""

from bellwire.bridge.errors import KafkaTopicError, KafkaUnreachableError
from bellwire.bridge.report import Report
from bellwire.bridge.settings import BridgeSettings

__all__ = ["BridgeSettings", "KafkaTopicError", "KafkaUnreachableError", "Report"]
