"""The systems that are measured, in the order of the tables."""

import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

from tests.benchmarks.environment import Environment
from tests.benchmarks.peers.peer import (
    AcknowledgingPublisher,
    Broker,
    CommitTimes,
    Peer,
    PeerPublisher,
    Receiver,
    Server,
)


class Entry(NamedTuple):
    """Where a system is found; nothing of it is imported before it is asked for."""

    title: str
    module: str
    attribute: str
    environment: Environment | None = None
    """Where its processes run; None = in that of Bellwire."""


AUTOGEN: Final = Environment("autogen")
SLIM: Final = Environment("slim")
LITSERVE: Final = Environment("litserve")

PEERS: Final[dict[str, Entry]] = {
    "nats": Entry("NATS core", "nats", "NATS"),
    "redis_pubsub": Entry("Redis pub/sub", "redis_pubsub", "REDIS_PUBSUB"),
    "grpc_unary": Entry("gRPC unary", "grpc_unary", "GRPC_UNARY"),
    "grpc_stream": Entry("gRPC stream + LZ4", "grpc_stream", "GRPC_STREAM"),
    "autogen": Entry("AutoGen gRPC", "autogen", "AUTOGEN_GRPC", AUTOGEN),
    "slim": Entry("SLIM", "slim", "SLIM_UNIX", SLIM),
    "bellwire_tcp": Entry("Bellwire TCP", "bellwire", "BELLWIRE_TCP"),
    "bellwire_unix": Entry("Bellwire Unix (grpc)", "bellwire", "BELLWIRE_UNIX"),
    "bellwire_socket": Entry("Bellwire socket lane", "bellwire", "BELLWIRE_SOCKET"),
    "bellwire_direct": Entry("Bellwire direct lane", "bellwire", "BELLWIRE_DIRECT"),
    "jetstream": Entry("JetStream", "jetstream", "JETSTREAM"),
    "jetstream_always": Entry("JetStream always", "jetstream", "JETSTREAM_ALWAYS"),
    "redis_always": Entry("Redis always", "redis_streams", "REDIS_ALWAYS"),
    "bellwire_durable": Entry("Bellwire", "bellwire_durable", "BELLWIRE_DURABLE"),
    "confluent_kafka": Entry("confluent-kafka", "kafka_confluent", "CONFLUENT"),
    "aiokafka": Entry("aiokafka", "kafka_aiokafka", "AIOKAFKA"),
    "bellwire_kafka": Entry("Bellwire on Kafka", "bellwire_kafka", "BELLWIRE_KAFKA"),
}
# They carry no messages: studies ask them.
SERVERS: Final[dict[str, Entry]] = {
    "litserve": Entry("LitServe", "litserve", "LITSERVE", LITSERVE),
}
# They only keep a broker busy while another system is measured on it.
NEIGHBOURS: Final[dict[str, Entry]] = {
    "nats_neighbour": Entry("NATS core", "nats", "NATS_NEIGHBOUR"),
    "bellwire_neighbour": Entry("Bellwire", "bellwire", "BELLWIRE_NEIGHBOUR"),
}
# Bare transports: what no bus on them can beat. `tests/benchmarks/stages.py` shows them.
FLOORS: Final[dict[str, Entry]] = {
    "floor_unix_direct": Entry("Unix socket", "raw", "UNIX_DIRECT"),
    "floor_unix_polled": Entry("Unix socket, the reader never sleeps", "raw", "UNIX_POLLED"),
    "floor_unix_relayed": Entry("Unix socket, relayed", "raw", "UNIX_RELAYED"),
    "floor_grpc_direct": Entry("grpc.aio stream", "raw", "GRPC_DIRECT"),
    "floor_grpc_relayed": Entry("grpc.aio stream, relayed", "raw", "GRPC_RELAYED"),
}


def load_peer(name: str) -> Peer:
    """Import one system, so that a process carries only the libraries of the one it measures."""
    peer: Peer = _load((PEERS | NEIGHBOURS | FLOORS)[name])
    return peer


def load_server(name: str) -> Server:
    """Import what one system serves with."""
    server: Server = _load((PEERS | SERVERS | NEIGHBOURS | FLOORS)[name])
    return server


def _load(entry: Entry) -> Any:
    return getattr(import_module(f"{__name__}.{entry.module}"), entry.attribute)


def interpreter_of(name: str) -> str:
    """Give the interpreter that the processes of a system run in."""
    entry = (PEERS | SERVERS | NEIGHBOURS).get(name)
    environment = entry.environment if entry else None
    return str(environment.interpreter) if environment else sys.executable


__all__ = [
    "FLOORS",
    "NEIGHBOURS",
    "PEERS",
    "SERVERS",
    "AcknowledgingPublisher",
    "Broker",
    "CommitTimes",
    "Entry",
    "Peer",
    "PeerPublisher",
    "Receiver",
    "Server",
    "interpreter_of",
    "load_peer",
    "load_server",
]
