"""The way to Kafka, as everything that speaks to one takes it: TLS, SASL, and what a broker must be able to do.

Needs aiokafka (`bellwire[kafka]`).
"""

from bellwire.transport.kafka.capabilities import (
    CONSUMER_GROUPS,
    CREATE_TOPICS,
    DELETE_RECORDS,
    IDEMPOTENT_PRODUCER,
    READ_COMMITTED,
    TRANSACTIONS,
    Capability,
)
from bellwire.transport.kafka.check import check_kafka
from bellwire.transport.kafka.options import client_options
from bellwire.transport.kafka.tuning import BEGIN_AGAIN_SECONDS, LZ4_LEVEL

__all__ = [
    "BEGIN_AGAIN_SECONDS",
    "CONSUMER_GROUPS",
    "CREATE_TOPICS",
    "DELETE_RECORDS",
    "IDEMPOTENT_PRODUCER",
    "LZ4_LEVEL",
    "READ_COMMITTED",
    "TRANSACTIONS",
    "Capability",
    "check_kafka",
    "client_options",
]
