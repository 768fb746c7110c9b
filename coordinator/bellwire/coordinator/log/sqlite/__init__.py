"""The SQLite store."""

from bellwire.coordinator.log.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
