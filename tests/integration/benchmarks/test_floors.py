"""The bare transports carry everything too."""

import pytest
from tests.benchmarks.peers import FLOORS
from tests.benchmarks.scenario import Durations
from tests.benchmarks.stage_timing import time_floor

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_loses_nothing_whatever_a_frame_weighs(name, monkeypatch):
    monkeypatch.delenv("BELLWIRE_BENCH_FLOOR_BYTES", raising=False)
    found = time_floor(name, 100_000, Durations(0.05, 0.2))
    assert found["lost"] == 0
    assert 0 < found["p50_us"] <= found["p99_us"]
