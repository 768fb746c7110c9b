"""A coordinator and a client for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bellwire.client import Client, connect
from bellwire.testing import running_coordinator


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running_coordinator() as running, connect(running.unix) as connected:
        yield connected
