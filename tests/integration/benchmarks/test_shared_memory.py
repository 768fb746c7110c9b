"""Each carrier between real processes, too briefly for its figures to mean anything."""

import importlib.util

import pytest
from tests.benchmarks.process import MeasurementError
from tests.benchmarks.shared_memory import measure_one
from tests.benchmarks.shared_memory_carriers import CARRIERS

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_nothing_is_lost_and_every_update_is_timed(carrier):
    if carrier.startswith("iceoryx2") and importlib.util.find_spec("iceoryx2") is None:
        pytest.skip("iceoryx2 lives in an environment of its own: make shared-memory")
    found = await measure_one(carrier, 10_000, 0.1)
    assert found["updates_per_second"] > 0
    assert 0 < found["p50_us"] <= found["p95_us"] <= found["p99_us"]


async def test_a_process_that_dies_is_reported_with_its_last_words():
    with pytest.raises(MeasurementError, match="KeyError: 'nonsense'"):
        await measure_one("nonsense", 10_000, 0.1)
