"""What a broker must be able to do: requests of Kafka's protocol, each in a version that both sides speak. No I/O.

A broker says which versions it speaks (KIP-35). The client takes the latest of them that it knows itself, fails in the
middle of the work where there is none, and passes over what an older version cannot say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiokafka.protocol import admin, commit, coordination, fetch, group, metadata, offset, produce
from aiokafka.protocol import transaction as txn

from bellwire.wire.errors import KafkaVersionError

__all__ = [
    "CONSUMER_GROUPS",
    "CREATE_TOPICS",
    "DELETE_RECORDS",
    "IDEMPOTENT_PRODUCER",
    "READ_COMMITTED",
    "TRANSACTIONS",
    "Capability",
    "Versions",
    "check_versions",
]

Versions: TypeAlias = (
    "Mapping[int, tuple[int, int]]"  # First and last version by the key of a request.
)
OLDEST: Final = "2.4"  # The first that makes topics with its own number of replicas (KIP-464).


@dataclass(frozen=True, slots=True)
class Need:
    """A request that is sent, in no version below the one that can say what is to be said.

    Attributes:
        name: In Kafka's protocol.
        request: Of aiokafka.
        version: The least.
    """

    name: str
    request: Any
    version: int = 0

    @property
    def ours(self) -> list[int]:
        """The versions that the client speaks, of those that serve."""
        # Nothing public tells them; the client's own choice is made from the same list.
        every = [each.API_VERSION for each in self.request._CLASSES]
        return [version for version in every if version >= self.version]


@dataclass(frozen=True, slots=True)
class Capability:
    """Something a broker can do, under the name that people have for it."""

    name: str
    needs: tuple[Need, ...]


IDEMPOTENT_PRODUCER: Final = Capability(
    "idempotent producers, record headers and LZ4",  # Record batches of format 2 (KIP-98, KIP-82).
    (
        Need("Metadata", metadata.MetadataRequest, 2),
        Need("Produce", produce.ProduceRequest, 3),
        Need("InitProducerId", txn.InitProducerIdRequest),
    ),
)
TRANSACTIONS: Final = Capability(
    "transactions",
    (
        Need("FindCoordinator", coordination.FindCoordinatorRequest, 1),
        Need("AddPartitionsToTxn", txn.AddPartitionsToTxnRequest),
        Need("EndTxn", txn.EndTxnRequest),
    ),
)
READ_COMMITTED: Final = Capability(
    "reading what is committed",
    (Need("Fetch", fetch.FetchRequest, 4), Need("ListOffsets", offset.OffsetRequest, 2)),
)
CONSUMER_GROUPS: Final = Capability(
    "consumer groups",
    (
        Need("FindCoordinator", coordination.FindCoordinatorRequest),
        Need("JoinGroup", group.JoinGroupRequest, 1),
        Need("SyncGroup", group.SyncGroupRequest),
        Need("Heartbeat", group.HeartbeatRequest),
        Need("LeaveGroup", group.LeaveGroupRequest),
        Need("OffsetCommit", commit.OffsetCommitRequest, 2),
        Need("OffsetFetch", commit.OffsetFetchRequest, 1),
    ),
)
CREATE_TOPICS: Final = Capability(
    "making topics", (Need("CreateTopics", admin.CreateTopicsRequest, 1),)
)
DELETE_RECORDS: Final = Capability(
    "deleting records", (Need("DeleteRecords", admin.DeleteRecordsRequest),)
)


def check_versions(kafka: str, found: Versions, needed: Iterable[Capability]) -> None:
    """Refuse a broker that cannot do what is needed.

    Args:
        kafka: Its HOST:PORT, for people.
        found: What it says it speaks.
        needed: What it is asked for.

    Raises:
        KafkaVersionError: It is too old, or too new; says what is missing.
    """
    lacks: dict[str, bool] = {}  # What is wrong, and whether the broker is too new for us.
    for capability in needed:
        for need in capability.needs:
            if (wrong := _wrong(need, found)) is not None:
                what, is_newer = wrong
                lacks[f"{what} (for {capability.name})"] = is_newer
    if not lacks:
        return
    # Ahead in one thing it may still be too old in another, and then no other version of ours helps.
    is_newer = all(lacks.values())
    raise KafkaVersionError(
        f"the broker at {kafka} is {'too new' if is_newer else 'too old'}: {'; '.join(lacks)}; "
        + (
            "use a later Bellwire, or brokers of Kafka 3.x or 4.x"
            if is_newer
            else f"use Kafka {OLDEST} or newer"
        ),
        metadata={"kafka": kafka},
    )


def _wrong(need: Need, found: Versions) -> tuple[str, bool] | None:
    """Say what is wrong with a request, and whether the broker is ahead of us; None = nothing."""
    if need.request.API_KEY not in found:
        return f"it has no {need.name}", False
    first, last = found[need.request.API_KEY]
    if any(first <= version <= last for version in need.ours):
        return None
    if last < need.ours[0]:
        return f"it speaks {need.name} up to version {last}, needed is {need.ours[0]}", False
    return (
        f"it speaks {need.name} from version {first} on, known are those up to {need.ours[-1]}",
        True,
    )
