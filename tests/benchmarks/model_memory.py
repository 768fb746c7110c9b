"""What buffer pools, mapped model files and compiled features would win: `python -m tests.benchmarks.model_memory`.

Prints CPU time, the best of seven, and memory; each way to load a model runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.features.batch import feature_rows
from bellwire.runtime.usage import usage_of

ROUNDS: Final = 7
BARS: Final = 57_546
JOINED: Final = (8, 64, 256)  # requests of one row that become one batch
WIDTH: Final = 420  # float32 of one observation
MODEL_MB: Final = (1, 64)
WAYS: Final = ("bytes", "path", "mapped")


def cpu_micros(work: Callable[[], object], times: int) -> float:
    """Return the microseconds of CPU that one call takes, the best of seven rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - began) / times)
    return best * 1e6


def joins() -> None:
    """Compare a batch in new memory with one in a buffer that is kept."""
    for rows in JOINED:
        parts = [np.zeros((1, WIDTH), np.float32)] * rows
        kept = np.empty((rows, WIDTH), np.float32)
        times = 40_000 // rows
        fresh = cpu_micros(partial(np.concatenate, parts), times)
        pooled = cpu_micros(partial(np.concatenate, parts, out=kept), times)
        print(f"join {rows:4} rows: new {fresh:6.2f} µs, kept buffer {pooled:6.2f} µs", flush=True)


def features() -> None:
    """Time the columns of a year's bars at once, and one bar of the stream."""
    draw = np.random.Generator(np.random.PCG64(0))
    close = 100.0 * np.exp(np.cumsum(draw.standard_t(4, BARS) * 1e-3))
    first = np.r_[close[0], close[:-1]]
    high, low = np.maximum(first, close) * 1.0003, np.minimum(first, close) * 0.9997
    bars = (first, high, low, close, draw.lognormal(0.0, 1.0, BARS))
    whole = cpu_micros(lambda: feature_rows(*bars), 1)
    matrix = FeatureMatrix()
    each = iter(list(zip(*(column.tolist() for column in bars), strict=True)))
    pushed = cpu_micros(lambda: matrix.push(*next(each)), BARS // ROUNDS)
    print(
        f"features: {whole / 1e6:.3f} s for {BARS:,} bars at once, {pushed:.1f} µs a bar streamed"
    )


def write_models(folder: Path, megabytes: int) -> None:
    """Write four products of that many bytes in all: one file, and one with its weights beside it."""
    import onnx  # heavy, and only here
    from onnx import TensorProto, helper, numpy_helper

    size = int((megabytes * 1e6 / 4 / 4) ** 0.5)
    draw = np.random.Generator(np.random.PCG64(0))
    weights = [draw.random((size, size), np.float32) for _ in range(4)]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]) for i in range(4)],
        "products",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["batch", size])],
        [helper.make_tensor_value_info("x4", TensorProto.FLOAT, ["batch", size])],
        [numpy_helper.from_array(each, f"w{i}") for i, each in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "whole.onnx")
    onnx.save(
        model, folder / "beside.onnx", save_as_external_data=True, location="w", size_threshold=0
    )


def _resident_bytes() -> int:
    usage = usage_of(os.getpid())
    assert usage is not None, "a process finds itself"
    return usage.rss_bytes


def load(folder: Path, way: str) -> None:
    """Load a model in this process, compute once, and print what it took."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    before, began = _resident_bytes(), time.process_time()
    if way == "bytes":
        session = onnxruntime.InferenceSession((folder / "whole.onnx").read_bytes(), options)
    else:
        file = folder / ("whole.onnx" if way == "path" else "beside.onnx")
        session = onnxruntime.InferenceSession(str(file), options)
    took = time.process_time() - began
    size = session.get_inputs()[0].shape[1]
    session.run(None, {"x0": np.zeros((1, size), np.float32)})
    print(
        f"  {way:7} {took * 1e3:6.1f} ms, +{(_resident_bytes() - before) / 1e6:6.1f} MB", flush=True
    )


def loads() -> None:
    """Load models from bytes, by their path, and with their weights in a file that is mapped."""
    for megabytes in MODEL_MB:
        with tempfile.TemporaryDirectory() as folder:
            write_models(Path(folder), megabytes)
            print(f"model of {megabytes} MB:", flush=True)
            for way in WAYS:
                command = [sys.executable, "-m", __spec__.name, folder, way]
                subprocess.run(command, check=True)


def main() -> None:
    if len(sys.argv) == 3:
        load(Path(sys.argv[1]), sys.argv[2])
        return
    joins()
    features()
    loads()


if __name__ == "__main__":
    main()
