"""A real coordinator per test, on a free port and a private socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.coordinator.frames import Stubs, dial

from bellwire.testing.server import RunningCoordinator, running_coordinator


@pytest.fixture
async def server() -> AsyncIterator[RunningCoordinator]:
    """A coordinator with default settings."""
    async with running_coordinator() as running:
        yield running


@pytest.fixture
async def bus(server: RunningCoordinator) -> AsyncIterator[Stubs]:
    """A connection to it."""
    async with dial(server.unix) as stubs:
        yield stubs
