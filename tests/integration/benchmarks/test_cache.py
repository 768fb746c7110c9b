"""The stream of the cache's benchmark: what can be spared of it is."""

from __future__ import annotations

import pytest
from tests.benchmarks.cache import ASKERS, WINDOWS, play, serving

from bellwire.coordinator.cache.settings import CacheSettings

pytestmark = pytest.mark.integration

BARS = 20


async def test_nine_of_ten_calls_of_the_stream_do_not_reach_the_agent() -> None:
    async with serving(CacheSettings()) as (agent, client):
        levels = await play(client, BARS)
    assert levels.total() == BARS * ASKERS * len(WINDOWS)
    assert agent.calls == BARS * len(WINDOWS)
    assert 1 - agent.calls / levels.total() >= 0.9
