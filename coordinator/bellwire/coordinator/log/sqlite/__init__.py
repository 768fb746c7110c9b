"""The SQLite store: durable topics, cursors, producers, dead letters and results in one folder."""

from bellwire.coordinator.log.sqlite.backup import backup
from bellwire.coordinator.log.sqlite.doctor import examine
from bellwire.coordinator.log.sqlite.findings import Finding, Report, Severity
from bellwire.coordinator.log.sqlite.restore import restore
from bellwire.coordinator.log.sqlite.store import SqliteStore

__all__ = ["Finding", "Report", "Severity", "SqliteStore", "backup", "examine", "restore"]
