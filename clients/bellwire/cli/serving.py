"""The life of `bellwire serve`: start, announce, wait for a signal, drain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import DATA_FAULTS, CommandError, ExitCode, UsageFault
from bellwire.cli.readiness import Announcement
from bellwire.cli.settings import SettingsTree

if TYPE_CHECKING:
    from bellwire.coordinator.cache.settings import CacheSettings
    from bellwire.coordinator.cache.source import ValueSource
    from bellwire.coordinator.config import CoordinatorSettings

__all__ = ["SignalGate", "run_coordinator"]

SERVICE_NAME: Final = "coordinator"
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class SignalGate:
    """Turn the first stop signal into an event and the second into the end of the process."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self.reason = ""

    def install(self) -> None:
        """Take over the stop signals of the running loop."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if not self._stop.is_set():
            self.reason = signal.Signals(number).name
            self._stop.set()
            return
        sys.stderr.write("error: second signal: stopped without draining\n")
        sys.stderr.flush()
        # Whoever asks twice wants no more clean-up; streams see the connection break.
        os._exit(ExitCode.FAILURE)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._stop.wait()


def run_coordinator(tree: SettingsTree, announcement: Announcement) -> None:
    """Serve until told to stop.

    Raises:
        UsageFault: When an address cannot be served, the data folder or Redis cannot be used, or readiness
            cannot be told.
        DataCorruptError: When what the folder holds cannot be read back.
    """
    import uvloop

    from bellwire.telemetry import TelemetrySettings, configure_from

    announcement.check()
    tracing = configure_from(tree.of(TelemetrySettings), SERVICE_NAME)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(tree, announcement))
    finally:
        tracing.shutdown()


async def _serve(tree: SettingsTree, announcement: Announcement) -> None:
    from bellwire.coordinator.cache.settings import CacheSettings
    from bellwire.coordinator.config import CoordinatorSettings
    from bellwire.coordinator.listen import ListenError
    from bellwire.transport.address import AddressError
    from bellwire.wire.errors import RedisRefusedError
    from bellwire.wire.settings import SettingsError

    gate = SignalGate()
    gate.install()
    settings, cache = tree.of(CoordinatorSettings), tree.of(CacheSettings)
    if settings.redis:
        await _serve_in_group(settings, cache, gate, announcement)
        return
    from bellwire.coordinator.server import Coordinator

    try:
        coordinator = Coordinator(settings, cache, store_of(cache))
        await coordinator.start()
    except (AddressError, ListenError, RedisRefusedError, SettingsError, *DATA_FAULTS) as error:
        raise UsageFault(error.message) from error
    try:
        announcement.ready(coordinator.addresses, coordinator.recovery())
        await gate.wait()
        announcement.draining(gate.reason)
        await coordinator.drain()
    finally:
        await coordinator.close()
    announcement.stopped()


def store_of(cache: CacheSettings) -> ValueSource | None:
    """Return the analytic store that is the cache's third level; None = the settings name none.

    Raises:
        SettingsError: DuckDB is not installed.
    """
    if not cache.store:
        return None
    from pathlib import Path

    from bellwire.sink.cache_store import CacheStore
    from bellwire.wire.settings import SettingsError

    try:
        return CacheStore(
            Path(cache.store),
            seconds_max=cache.store_timeout_seconds,
            days_max=cache.store_days,
            answer_seconds=cache.store_ttl_seconds,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            "cache", "store", cache.store, "empty without DuckDB; install bellwire[sinks]"
        ) from error


async def _serve_in_group(
    settings: CoordinatorSettings,
    cache: CacheSettings,
    gate: SignalGate,
    announcement: Announcement,
) -> None:
    from bellwire.coordinator.cluster.errors import (
        GroupRecordError,
        LeaseRefusedError,
        TopicsTakenError,
    )
    from bellwire.coordinator.cluster.holder import LeaseValueError
    from bellwire.coordinator.cluster.server import ClusterCoordinator
    from bellwire.coordinator.listen import ListenError
    from bellwire.transport.address import AddressError
    from bellwire.wire.settings import SettingsError

    faults = (
        AddressError,
        GroupRecordError,
        LeaseRefusedError,
        LeaseValueError,
        ListenError,
        SettingsError,
        TopicsTakenError,
    )
    try:
        coordinator = ClusterCoordinator(
            settings,
            cache,
            store_of(cache),
            on_role=lambda role, owner: announcement.role(role.name, owner),
        )
        await coordinator.start()
    except faults as error:
        raise UsageFault(error.message) from error
    try:
        announcement.ready(coordinator.addresses)
        stop = asyncio.create_task(gate.wait())
        failed = asyncio.create_task(coordinator.failed.wait())
        await asyncio.wait([stop, failed], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        failed.cancel()
        if coordinator.failure is not None:
            raise CommandError(coordinator.failure.message)
        announcement.draining(gate.reason)
        await coordinator.drain()
    finally:
        await coordinator.close()
    announcement.stopped()
