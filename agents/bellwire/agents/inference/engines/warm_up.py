"""The first runs of an engine, which nobody should wait for."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines.outputs import check_outputs
from bellwire.agents.inference.tensor import DTYPES, Tensors

RUNS: Final = (
    3  # The first allocates, the second may still profile shapes, the third is like the rest.
)


@dataclass(frozen=True, slots=True)
class WarmRun:
    """What one batch size took."""

    batch: int
    """Rows."""
    first_seconds: float
    """What the first request would have waited."""
    last_seconds: float


def warm_up(engine: Engine, batches: Sequence[int]) -> tuple[WarmRun, ...]:
    """Compute zeros at each batch size, `RUNS` times, and check what comes out; blocks meanwhile.

    Args:
        engine: Loaded, and used by nobody else yet.
        batches: Rows; those above the model's `batch_max` become that.

    Raises:
        EngineFailedError, InvalidTensorError: It cannot compute, or not what the manifest says.
    """
    largest = engine.manifest.batch_max
    sizes = sorted({min(batch, largest) for batch in batches})
    return tuple(_warm_run(engine, batch) for batch in sizes)


def _warm_run(engine: Engine, batch: int) -> WarmRun:
    inputs: Tensors = {
        spec.name: np.zeros((batch, *spec.shape), DTYPES[spec.dtype])
        for spec in engine.manifest.inputs
    }
    seconds = []
    for _ in range(RUNS):
        started = perf_counter()
        outputs = engine.infer(inputs)
        seconds.append(perf_counter() - started)
        check_outputs(engine.manifest, outputs, batch)
    return WarmRun(batch, seconds[0], seconds[-1])
