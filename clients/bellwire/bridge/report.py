"""What a bridge tells whoever runs it, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Counters", "Report", "silent"]


class Report(Protocol):
    """Takes what happens: `kafka_away`, `kafka_back`, `bus_refuses`, `dead_lettered`, `ready`."""

    def __call__(self, event: str, **facts: str | float) -> None: ...


def silent(event: str, **facts: str | float) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Counters:
    """What a bridge has done since it was started."""

    sent: int = 0
    """Messages that Kafka has acknowledged."""
    received: int = 0
    """Records that the bus has acknowledged."""
    skipped: int = 0
    """What had come from the other side."""
    dead_lettered: int = 0
    """Records and messages that the other side cannot take."""
