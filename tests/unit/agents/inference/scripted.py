"""Engines and endpoints that do as they are told, for the tests of what stands around them."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np

from bellwire.agents.inference import (
    EngineFailedError,
    InferenceRequest,
    InferenceResult,
    ModelManifest,
    Tensors,
    TensorSpec,
)

WIDTH = 3
POISON = 666.0


def manifest(name: str = "toy", version: int = 1, batch_max: int = 4_096) -> ModelManifest:
    return ModelManifest(
        name=name,
        version=version,
        engine="numpy",
        file="toy.npz",
        sha256="0" * 64,
        inputs=(TensorSpec("x", "FP32", (WIDTH,)),),
        outputs=(TensorSpec("y", "FP32", (WIDTH,)),),
        quantization="int8-static",
        batch_max=batch_max,
    )


def rows(*values: float) -> Tensors:
    """One row for each value, full of it."""
    return {"x": np.repeat(np.array(values, np.float32)[:, None], WIDTH, axis=1)}  # (rows, WIDTH)


def ask(*values: float, model: str = "toy", **fields: object) -> InferenceRequest:
    return InferenceRequest(model, rows(*values), **fields)  # type: ignore[arg-type]  # of one test each


def said(result: InferenceResult) -> list[float]:
    """What a result says of each row."""
    return [float(row[0]) for row in result.outputs["y"]]


class ScriptedEngine:
    """Doubles its input; fails on POISON; waits, where a gate is given, until it is opened."""

    def __init__(
        self, model: ModelManifest | None = None, gate: threading.Event | None = None
    ) -> None:
        self.manifest = model or manifest()
        self.gate = gate
        self.entered = threading.Event()
        self.batches: list[list[float]] = []
        self.before: Callable[[], None] = lambda: None

    def infer(self, inputs: Tensors) -> Tensors:
        self.batches.append([float(row[0]) for row in inputs["x"]])
        self.entered.set()
        self.before()
        if self.gate is not None:
            assert self.gate.wait(10), "the test never opened the gate"
        if (inputs["x"] == POISON).any():
            raise EngineFailedError("toy", "poisoned")
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        raise AssertionError("the engine is closed by who made it")


class ScriptedEndpoint:
    """Raises what it was given, or hangs, or says its number in every row."""

    def __init__(
        self, number: float = 0, error: Exception | None = None, hangs: bool = False
    ) -> None:
        self.number = number
        self.error = error
        self.hangs = hangs
        self.asked: list[InferenceRequest] = []
        self.cancelled = 0
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        self.asked.append(request)
        self.entered.set()
        try:
            if self.hangs:
                await asyncio.Event().wait()
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        outputs = {"y": np.full((len(request.inputs["x"]), WIDTH), self.number, np.float32)}
        return InferenceResult(outputs, f"toy:{self.number:g}", batch_size=1)

    def manifests(self) -> tuple[ModelManifest, ...]:
        return (manifest(),)
