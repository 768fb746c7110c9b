"""How many requests a second the batcher answers: `python tests/benchmarks/inference_batcher.py`.

`make bench BENCH_ARGS="--only inference-batcher"` runs it several times and makes a table of it.

Closed loop, one process, one thread: each client asks for one row of 420 numbers, waits for the answer, and asks
again. The trivial engine copies ten columns, so that its rows show what the batcher itself takes; the other one is
an ONNX model of the tactical system's size (420 → 224 → 10, random weights, float32) on ONNX Runtime.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    for library in ("OMP", "OPENBLAS", "MKL"):  # Read when numpy is imported.
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np
import uvloop
from tests.benchmarks.histogram import LatencyHistogram

from bellwire.agents.inference import (
    Engine,
    InferenceRequest,
    ModelManifest,
    Tensors,
    TensorSpec,
)
from bellwire.agents.inference.batching import Batcher

CLIENTS: Final = (1, 8, 64)
INPUTS, HIDDEN, OUTPUTS = 420, 224, 10
WARM_UP_SHARE: Final = 0.2
MANIFEST: Final = ModelManifest(
    name="tactical",
    version=1,
    engine="numpy",
    file="none",
    sha256="0" * 64,
    inputs=(TensorSpec("x", "FP32", (INPUTS,)),),
    outputs=(TensorSpec("y", "FP32", (OUTPUTS,)),),
)
Cell = dict[str, float]
Runner = Callable[[Coroutine[Any, Any, Cell]], Cell]


class TrivialEngine:
    """Copies some columns."""

    manifest = MANIFEST

    def infer(self, inputs: Tensors) -> Tensors:
        return {"y": inputs["x"][:, :OUTPUTS].copy()}  # (batch, 10)

    def close(self) -> None:
        pass


class OrtEngine:
    """Two dense layers, a clamp between them, on ONNX Runtime with one thread."""

    manifest = MANIFEST

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            _graph(), options, providers=["CPUExecutionProvider"]
        )

    def infer(self, inputs: Tensors) -> Tensors:
        return {"y": self._session.run(None, {"x": inputs["x"]})[0]}  # (batch, 10)

    def close(self) -> None:
        pass


def _graph() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    weights = {
        "w1": draw.normal(size=(INPUTS, HIDDEN)),
        "w2": draw.normal(size=(HIDDEN, OUTPUTS)),
        "low": np.array(0.0),
        "high": np.array(6.0),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Clip", ["a", "low", "high"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tactical-sized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", OUTPUTS])],
        [numpy_helper.from_array(each.astype(np.float32), name) for name, each in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


ENGINES: Final[dict[str, Callable[[], Engine]]] = {
    "trivial": TrivialEngine,
    "ONNX Runtime fp32": OrtEngine,
}
LOOPS: Final[dict[str, Runner]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


async def load(engine: Engine, clients: int, seconds: float) -> Cell:
    """Ask for some seconds and return requests a second, percentiles, and the mean batch."""
    batcher = Batcher(engine)
    took: list[int] = []
    request = InferenceRequest("tactical", {"x": np.zeros((1, INPUTS), np.float32)})
    timed_from = time.perf_counter_ns() + round(seconds * WARM_UP_SHARE * 1e9)
    until = timed_from + round(seconds * 1e9)

    async def client() -> None:
        inputs, clock = request.inputs, time.perf_counter_ns
        began = clock()
        while began < until:
            await batcher.infer(InferenceRequest("tactical", inputs))
            ended = clock()
            if began >= timed_from:
                took.append(ended - began)
            began = ended

    await asyncio.gather(*(client() for _ in range(clients)))
    await batcher.close()
    histogram, statistics = LatencyHistogram.of(took), batcher.statistics
    return {
        "requests_per_second": len(took) / seconds,
        "p50_us": histogram.percentile(50) / 1e3,
        "p99_us": histogram.percentile(99) / 1e3,
        "batch_rows": statistics.rows / statistics.batches,
    }


def measure(seconds: float) -> dict[str, dict[str, dict[str, Cell]]]:
    """Return the cells by engine, loop and number of clients."""
    return {
        name: {
            loop: {str(clients): run(load(make(), clients, seconds)) for clients in CLIENTS}
            for loop, run in LOOPS.items()
        }
        for name, make in ENGINES.items()
    }


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description="Measure the inference batcher.")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each load")
    parser.add_argument("--json", type=Path, help="also write it there")
    options = parser.parse_args()
    found = measure(options.seconds)
    for engine, loops in found.items():
        for loop, cells in loops.items():
            for clients, cell in cells.items():
                figures = "  ".join(f"{name} {value:,.1f}" for name, value in cell.items())
                print(f"{engine:<18} {loop:<8} {clients:>3} clients  {figures}")
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
