"""What the levels of the cache are asked, and in which words they answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from bellwire.coordinator.cache.key import CacheKey

__all__ = ["Codec", "Level", "Question"]

V = TypeVar("V")


class Level(IntEnum):
    """Where a value came from. The numbers are those of the wire."""

    MADE = 0
    """It was made for this question."""
    MEMORY = 1
    """This process remembered it."""
    REDIS = 2
    """Redis did."""
    STORE = 3
    """A store did."""
    SHARED = 4
    """It was made for an equal question that was under way."""


class Codec(Protocol[V]):
    """How values of one kind are written."""

    def encode(self, value: V) -> bytes:
        """Return a value as bytes."""
        ...

    def decode(self, data: bytes) -> V:
        """Return what was encoded; raises ValueError for anything else."""
        ...

    def is_negative(self, value: V) -> bool:
        """Tell whether it stands for a failure, which is kept for a shorter time and only in memory."""
        ...


def _unknown() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Question(Generic[V]):
    """One question.

    Attributes:
        key: Equal for questions with one answer.
        ttl_seconds: How long an answer is valid from its making on.
        make: Makes the answer within the seconds it is given.
        make_seconds: How long making it may take, whoever waits.
        outdated_by: Topics and patterns that outdate the answer.
        validity: Tells what an answer asked for now must carry to be meant later; None = it cannot be told.
    """

    key: CacheKey
    ttl_seconds: float
    make: Callable[[float], Awaitable[V]]
    make_seconds: float
    outdated_by: tuple[str, ...] = ()
    validity: Callable[[], str | None] = _unknown
