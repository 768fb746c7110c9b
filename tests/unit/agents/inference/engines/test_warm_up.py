"""Warm-up: which sizes are run, and what it finds before anybody waits for it."""

from pathlib import Path

import numpy as np
import pytest
from tests.unit.agents.inference.engines.conftest import PUBLISH, manifest_of, npz_bytes

from bellwire.agents.inference import EngineFailedError, ModelManifest, Tensors, TensorSpec
from bellwire.agents.inference.engines import EngineSettings, load_engine, warm_up
from bellwire.agents.inference.engines.warm_up import RUNS


class Remembering:
    """An engine that remembers the batches it was asked for and gives what it is told to."""

    def __init__(self, outputs: dict[str, np.ndarray] | None = None) -> None:
        self.manifest: ModelManifest = manifest_of(
            "numpy", b"", outputs=(TensorSpec("p", "FP32", (3,)),), batch_max=8
        )
        self.outputs = outputs
        self.batches: list[int] = []

    def infer(self, inputs: Tensors) -> Tensors:
        self.batches.append(len(inputs["x"]))
        if self.outputs is not None:
            return self.outputs
        return {"p": np.zeros((len(inputs["x"]), 3), "<f4")}

    def close(self) -> None:
        self.batches.clear()


def test_each_size_is_run_some_times_and_none_above_the_models_largest() -> None:
    engine = Remembering()
    runs = warm_up(engine, [1, 100, 8, 1])
    assert [run.batch for run in runs] == [1, 8]
    assert engine.batches == [1] * RUNS + [8] * RUNS
    assert all(run.first_seconds > 0 and run.last_seconds > 0 for run in runs)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({}, "gave no output 'p'"),
        ({"p": np.zeros((2, 3), "<f4")}, "2 rows for a batch of 1"),
    ],
)
def test_outputs_that_are_not_the_manifests_are_found(
    outputs: dict[str, np.ndarray], found: str
) -> None:
    with pytest.raises(EngineFailedError, match=found):
        warm_up(Remembering(outputs), [1])


def test_real_engine_is_usable_afterwards(tmp_path: Path, stored: PUBLISH) -> None:
    engine = load_engine(tmp_path, stored("numpy", npz_bytes()), EngineSettings())
    assert [run.batch for run in warm_up(engine, [1, 64])] == [1, 64]
    assert engine.infer({"x": np.zeros((1, 4), "<f4")})["v"].tolist() == [[0]]
