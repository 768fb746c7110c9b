"""librdkafka's mock cluster: brokers within this process that answer late, with errors, or not at all.

It is reached through the C library that confluent-kafka's wheel carries (`rdkafka_mock.h`). It keeps everything in
memory, knows no CreateTopics, and ends a transaction with a record that bears no checksum.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

ERROR_BYTES: Final = 512
PRODUCER: Final = 0  # Of rd_kafka_type_t: what the cluster hangs on.
ABSENT: Final = (-1, -1)  # Versions of a request that brokers do not know.


class Api(IntEnum):
    """Requests of Kafka's protocol, by their key."""

    PRODUCE = 0
    FETCH = 1
    METADATA = 3
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    END_TXN = 26


class Code(IntEnum):
    """Errors of Kafka's protocol."""

    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    CONCURRENT_TRANSACTIONS = 51


class MockCluster:
    """A cluster that runs.

    Attributes:
        bootstrap: HOST:PORT of each broker.
        brokers: How many there are; their ids count from 1.
    """

    def __init__(self, library: ctypes.CDLL, cluster: int, brokers: int) -> None:
        self._library = library
        self._cluster = cluster
        self.brokers = brokers
        found = _function(library, "mock_cluster_bootstraps", ctypes.c_char_p, ctypes.c_void_p)
        self.bootstrap: str = found(cluster).decode()

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic, replicated to all brokers."""
        types = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
        self._checked(
            "mock_topic_create", types, self._cluster, name.encode(), partitions, self.brokers
        )

    def push_errors(self, api: Api, codes: Sequence[Code]) -> None:
        """Have the next requests of a kind answered with these errors, one each."""
        array = (ctypes.c_int * len(codes))(*codes)
        pointer = ctypes.POINTER(ctypes.c_int)
        types = (ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, pointer)
        push = _function(self._library, "mock_push_request_errors_array", None, *types)
        push(self._cluster, api, len(codes), array)

    def set_api_versions(self, api: Api, first: int, last: int) -> None:
        """Have brokers speak only these versions of a request; ABSENT = none."""
        types = (ctypes.c_void_p, ctypes.c_int16, ctypes.c_int16, ctypes.c_int16)
        self._checked("mock_set_apiversion", types, self._cluster, api, first, last)

    def set_rtt(self, millis: int) -> None:
        """Have every answer of every broker come that late."""
        types = (ctypes.c_void_p, ctypes.c_int32, ctypes.c_int)
        for broker in range(1, self.brokers + 1):
            self._checked("mock_broker_set_rtt", types, self._cluster, broker, millis)

    def set_down(self) -> None:
        """Cut every connection, and take no new ones."""
        self._each("mock_broker_set_down")

    def set_up(self) -> None:
        """Take connections again."""
        self._each("mock_broker_set_up")

    def _each(self, name: str) -> None:
        for broker in range(1, self.brokers + 1):
            self._checked(name, (ctypes.c_void_p, ctypes.c_int32), self._cluster, broker)

    def _checked(self, name: str, types: Sequence[Any], *arguments: Any) -> None:
        code = _function(self._library, name, ctypes.c_int, *types)(*arguments)
        assert code == 0, f"rd_kafka_{name}: error {code}"


@contextmanager
def mock_cluster(brokers: int = 3) -> Iterator[MockCluster]:
    """Run a cluster."""
    library = ctypes.CDLL(str(_library_path()))
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    error = ctypes.create_string_buffer(ERROR_BYTES)
    types = (integer, pointer, ctypes.c_char_p, ctypes.c_size_t)
    configuration = _function(library, "conf_new", pointer)()
    handle = _function(library, "new", pointer, *types)(PRODUCER, configuration, error, ERROR_BYTES)
    assert handle, error.value.decode()
    cluster = _function(library, "mock_cluster_new", pointer, pointer, integer)(handle, brokers)
    try:
        yield MockCluster(library, cluster, brokers)
    finally:
        _function(library, "mock_cluster_destroy", None, pointer)(cluster)
        _function(library, "destroy", None, pointer)(handle)


def _library_path() -> Path:
    import confluent_kafka

    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    return next(iter(sorted(folder.glob("librdkafka-*.so*"))))


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, f"rd_kafka_{name}")
    function.restype, function.argtypes = result, list(arguments)
    return function
