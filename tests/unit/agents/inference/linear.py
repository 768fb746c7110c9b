"""A small real endpoint: a linear model in numpy, in two versions, that can be told to fail."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from bellwire.agents.inference import (
    CloseReason,
    Fallback,
    FallbackReason,
    InferenceRequest,
    InferenceResult,
    InvalidTensorError,
    ModelManifest,
    TensorSpec,
    UnknownModelError,
)
from bellwire.wire.errors import DeadlineExceededError

FEATURES, ACTIONS = 4, 3
ASKED_SECONDS = 10


def manifest(version: int, name: str = "tactical") -> ModelManifest:
    """What a repository would tell of a version."""
    return ModelManifest(
        name=name,
        version=version,
        engine="numpy",
        file="weights.npz",
        sha256="0" * 64,
        inputs=(TensorSpec("x", "FP32", (FEATURES,)),),
        outputs=(TensorSpec("p", "FP32", (ACTIONS,)), TensorSpec("action", "INT64", ())),
        quantization="int8-static",
    )


class LinearEndpoint:
    """Multiplies by the version, sums pairs, and takes the softmax.

    Attributes:
        requests: All that were asked, in order.
        failure: Raised instead of an answer, once for each in the list.
        gate: Set while answers may be given.
    """

    def __init__(self, *versions: int) -> None:
        self.requests: list[InferenceRequest] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._arrived = asyncio.Event()
        self._manifests = tuple(manifest(version) for version in versions or (1, 2))

    def manifests(self) -> tuple[ModelManifest, ...]:
        """All versions."""
        return self._manifests

    async def until_asked(self, times: int = 1) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(ASKED_SECONDS):
            while len(self.requests) < times:
                self._arrived.clear()
                await self._arrived.wait()

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer as the protocol of endpoints says."""
        self.requests.append(request)
        self._arrived.set()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if request.deadline_seconds and request.deadline_seconds <= time.monotonic():
            raise DeadlineExceededError("the deadline passed in the queue")
        chosen = self._chosen(request)
        x = self._checked(request, chosen)
        logits = np.stack([x[:, 0] + x[:, 1], x[:, 2] + x[:, 3], x[:, 0]], axis=1) * chosen.version
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = (e / e.sum(axis=1, keepdims=True)).astype("<f4")  # (batch, actions)
        return InferenceResult(
            outputs={"p": p, "action": p.argmax(axis=1).astype("<i8")},
            answered_by=chosen.key,
            quantization=chosen.quantization,
            fallbacks=(Fallback("tactical:9", FallbackReason.NOT_LOADED),),
            batch_size=len(x),
            close_reason=CloseReason.IDLE,
            queue_seconds=0.000_01,
            compute_seconds=0.000_25,
        )

    def _chosen(self, request: InferenceRequest) -> ModelManifest:
        found = [m for m in self._manifests if request.version in (0, m.version)]
        if request.model != "tactical" or not found:
            known = tuple(each.key for each in self._manifests)
            raise UnknownModelError(request.model, str(request.version or ""), known)
        return found[-1]

    def _checked(self, request: InferenceRequest, chosen: ModelManifest) -> np.ndarray:
        if set(request.inputs) != {"x"}:
            raise InvalidTensorError("x", f"not among {sorted(request.inputs)}", "the only input")
        chosen.inputs[0].check(request.inputs["x"])
        return request.inputs["x"]


def observations(rows: int = 2) -> np.ndarray:
    """A batch that differs in every element."""
    return np.arange(rows * FEATURES, dtype="<f4").reshape(rows, FEATURES)  # (rows, features)
