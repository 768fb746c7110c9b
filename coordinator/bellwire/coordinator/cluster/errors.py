"""What can go wrong with a group of coordinators."""

from __future__ import annotations

from bellwire.wire.errors import CallerError, PeerError, StatusCode

__all__ = [
    "GroupRecordError",
    "LeaseRefusedError",
    "LeaseUnavailableError",
    "StoreContestedError",
    "TopicsTakenError",
]


class LeaseRefusedError(CallerError):
    """Redis cannot keep the lease: a wrong password, or it may evict it."""

    reason = "LEASE_REFUSED"
    code = StatusCode.FAILED_PRECONDITION


class LeaseUnavailableError(PeerError):
    """Redis, which keeps the lease of the group, did not answer."""

    reason = "LEASE_UNAVAILABLE"


class StoreContestedError(CallerError):
    """Somebody outside the group writes to its store."""

    reason = "STORE_CONTESTED"
    code = StatusCode.FAILED_PRECONDITION


class GroupRecordError(CallerError):
    """What stands in the place of a group's declaration was not written by a coordinator."""

    reason = "GROUP_RECORD_INVALID"

    def __init__(self, key: str, group: str, value: bytes) -> None:
        """Name the group and what is found in its place."""
        super().__init__(
            f"Redis holds {value[:80]!r} at {group!r} of {key!r}, which no coordinator of this version has declared: "
            f"delete it with `redis-cli HDEL {key} {group}`, and its group declares anew",
            metadata={"key": key, "group": group},
        )


class TopicsTakenError(CallerError):
    """A group is to have topics that another group has."""

    reason = "TOPICS_TAKEN"
    code = StatusCode.FAILED_PRECONDITION

    def __init__(self, group: str, topics: str, other: str, taken: str) -> None:
        """Name both groups, and the pattern of each; empty = what no group names."""
        found = (
            f"group {group!r} is to have {topics!r}, and {taken!r} of group {other!r} has topics of it already"
            if topics or taken
            else f"group {group!r} is to have all topics that no group names, and group {other!r} has them already"
        )
        super().__init__(
            f"{found}: share them out with `coordinator.group_topics`, or give both the same `coordinator.group`; "
            f"a group that is gone for good is forgotten with `redis-cli HSET bellwire:groups {other} removed`",
            metadata={"group": group, "topics": topics, "other": other, "taken": taken},
        )
