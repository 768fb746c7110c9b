"""Logs: where the batches of a partition are kept. One Protocol, one module per engine."""

from bellwire.coordinator.log.protocol import Entry, PartitionLog

__all__ = ["Entry", "PartitionLog"]
