"""An endpoint that answers for versions as it is told to, and requests to it."""

import asyncio

import numpy as np
import pytest

from bellwire.agents.inference import InferenceRequest, InferenceResult, ModelManifest


class ScriptedEndpoint:
    """Answers each version with its probabilities, or raises; remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[int, np.ndarray | BaseException] = {}
        self.asked: list[InferenceRequest] = []
        self.was_asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        self.asked.append(request)
        self.was_asked.set()
        await self.gate.wait()
        answer = self.answers[request.version]
        if isinstance(answer, BaseException):
            raise answer
        return InferenceResult({"p": answer}, f"{request.model}:{request.version}")

    def manifests(self) -> tuple[ModelManifest, ...]:
        return ()


def probabilities(*actions: int) -> np.ndarray:
    """Return a row for each action, with 0.8 on it."""
    rows = np.full((len(actions), 3), 0.1, "<f4")
    rows[np.arange(len(actions)), actions] = 0.8
    return rows


def request_for(key: str, **changes: object) -> InferenceRequest:
    fields: dict[str, object] = {"model": "actor", "inputs": {}, "key": key}
    return InferenceRequest(**(fields | changes))  # type: ignore[arg-type]  # fields of the test's own


@pytest.fixture
async def endpoint() -> ScriptedEndpoint:
    return ScriptedEndpoint()
