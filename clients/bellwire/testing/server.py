"""A real coordinator for tests: its own event loop's server on a free port and a private Unix socket."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator


@dataclass(frozen=True, slots=True)
class RunningCoordinator:
    """Where a coordinator of a test is reached.

    Attributes:
        coordinator: The server itself.
        tcp: "127.0.0.1:PORT".
        unix: "unix:///…", in a folder that goes away with it.
    """

    coordinator: Coordinator
    tcp: str
    unix: str


@asynccontextmanager
async def running_coordinator(
    settings: CoordinatorSettings | None = None,
    *,
    cache: CacheSettings | None = None,
    source: ValueSource | None = None,
    **overrides: object,
) -> AsyncIterator[RunningCoordinator]:
    """Run a coordinator in this event loop until the block ends.

    Args:
        settings: Everything but `listen`.
        cache: Settings of its cache.
        source: Third level of its cache.
        overrides: Single settings by name.
    """
    with tempfile.TemporaryDirectory(prefix="bellwire-") as folder:
        unix = f"unix://{folder}/bus.sock"
        chosen = replace(
            settings or CoordinatorSettings(),
            **{**overrides, "listen": ("127.0.0.1:0", unix)},  # type: ignore[arg-type]  # checked there
        )
        async with Coordinator(chosen, cache, source) as coordinator:
            yield RunningCoordinator(coordinator, coordinator.addresses[0], unix)


__all__ = ["RunningCoordinator", "running_coordinator"]
