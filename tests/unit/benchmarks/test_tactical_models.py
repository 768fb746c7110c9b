"""The network that the studies measure, in floats and in 8 bits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.inference import in_order, latencies_ns, load, turn
from tests.benchmarks.process import REPOSITORY
from tests.benchmarks.tactical_models import FP32, INT8, KINDS, observations, write_models

from bellwire.agents.inference.model import read_manifest

SERVE = """
import asyncio, json, sys
from contextlib import AsyncExitStack
from tests.benchmarks.inference_agent import TacticalModel
from bellwire.agents.inference import InferenceRequest
import numpy as np

async def main():
    agent = TacticalModel({"folder": sys.argv[1], "model": "tactical"})
    async with AsyncExitStack() as stack:
        endpoint = await agent.open_endpoint(stack)
        rows = {"observation": np.ones((5, 420), "<f4"), "position": np.ones((5, 1), "<f4")}
        result = await endpoint.infer(InferenceRequest("tactical", rows))
    print(json.dumps([result.quantization, len(result.outputs["value"]), sorted(sys.modules)]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


def test_the_network_in_8_bits_is_smaller_and_says_nearly_the_same(models):
    rows = observations(64, seed=99)
    floats, small = (load(models / kind).infer(rows) for kind in KINDS)
    # Drawn rows reach beyond the bars that ranges were fixed by, so single ones differ by more.
    assert np.abs(floats["probabilities"] - small["probabilities"]).mean() < 0.1
    assert not np.array_equal(floats["probabilities"], small["probabilities"])
    sizes = [(models / kind / "model.onnx").stat().st_size for kind in (FP32, INT8)]
    assert sizes[0] > 3 * sizes[1]
    assert read_manifest(models / INT8).quantization == INT8


def test_observations_depend_on_the_seed_alone():
    again, other = observations(2, seed=1), observations(2, seed=2)
    np.testing.assert_array_equal(observations(2, seed=1)["observation"], again["observation"])
    assert not np.array_equal(again["observation"], other["observation"])
    assert again["position"].shape == (2, 1)


def test_each_turn_begins_with_the_other():
    assert [in_order(number)[0] for number in range(3)] == [FP32, INT8, FP32]
    assert all(set(in_order(number)) == set(KINDS) for number in range(2))


def test_a_turn_times_one_row_and_counts_rows_of_batches(models):
    engine = load(models / FP32)
    inputs = {rows: [observations(rows, seed=0)] for rows in (1, 64, 256)}
    found = turn(engine, inputs, seconds=0.005)
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["rows_per_second_64"] > 64
    assert found["rows_per_second_256"] > 256
    assert len(latencies_ns(engine, inputs[1], seconds=0.005)) > 1


def test_an_agent_that_serves_loads_neither_what_trains_nor_what_writes_models(models):
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(models / INT8)],
        capture_output=True,
        check=True,
        timeout=50,
        cwd=REPOSITORY,
    )
    quantization, rows, modules = json.loads(done.stdout)
    assert (quantization, rows) == (INT8, 5)
    assert "onnxruntime" in modules
    assert {"torch", "onnx", "tests.benchmarks.tactical_models"}.isdisjoint(modules)
