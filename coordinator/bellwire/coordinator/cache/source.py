"""The third level: whatever keeps values for longer than a cache does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bellwire.bus.v1.message_pb2 import Message
from bellwire.coordinator.cache.key import CacheKey

__all__ = ["FoundAnswer", "FoundMessage", "KeptAnswer", "Placed", "ValueSource"]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer to be kept.

    Attributes:
        key: Of its question.
        validity: It is meant only where this is the same: see `Marks`.
        outdated_by: Topics and patterns that outdate it, for those who read the store.
        made_unix_nano: When it was asked for.
        expire_unix_nano: When it is too old.
        payload: As the cache's codec writes it.
    """

    key: CacheKey
    validity: str
    outdated_by: tuple[str, ...]
    made_unix_nano: int
    expire_unix_nano: int
    payload: bytes


class FoundAnswer(Protocol):
    """An answer that was kept."""

    @property
    def payload(self) -> bytes: ...
    @property
    def expire_unix_nano(self) -> int: ...


class Placed(Protocol):
    """A place in a log of today or of before."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def log_id(self) -> int: ...


class FoundMessage(Placed, Protocol):
    """A message, and its place."""

    @property
    def message(self) -> Message: ...


class ValueSource(Protocol):
    """Asked on a miss of the levels above, for example an analytic store; whatever it raises is a miss, counted.

    Each question is waited for `CacheSettings.store_timeout_seconds`. Whoever inherits from this class answers
    nothing and keeps nothing where it does not say otherwise.
    """

    async def open(self) -> None:
        """Get ready."""
        return

    async def close(self) -> None:
        """Give everything back."""
        return

    async def find(self, key: CacheKey, validity: str) -> FoundAnswer | None:
        """Return the answer kept under this key with this validity, or None when there is none."""
        return None

    async def keep(self, answers: Sequence[KeptAnswer]) -> None:
        """Keep answers; the newer one of a key replaces the older."""
        return

    async def last_messages(
        self, topic: str, keys: Sequence[str], logs: Sequence[int], *, any_log: bool
    ) -> Sequence[FoundMessage]:
        """Return the newest message of each key that it knows.

        Args:
            topic: Of the messages.
            keys: At most a thousand; none = of the keys that were written last.
            logs: The topic's log by partition: what is in it goes before all else.
            any_log: Whether messages of other logs of that topic count, the newest by admission.
        """
        return ()

    async def covered(self, topic: str, logs: Sequence[int]) -> Mapping[int, int]:
        """Return for partitions of these logs the offset below which it has all messages."""
        return {}
