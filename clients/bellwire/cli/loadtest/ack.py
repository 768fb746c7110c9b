"""How far a message of a load test must have come."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LoadAck"]


class LoadAck(StrEnum):
    """What the publisher waits for."""

    RECEIVED = "received"
    """In the coordinator's memory; read by ephemeral subscriptions."""
    PERSISTED = "persisted"
    """Synced to the coordinator's disk; read through durable cursors."""
