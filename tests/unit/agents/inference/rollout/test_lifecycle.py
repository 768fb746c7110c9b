"""A version's way from its file into service and back, with the real parts."""

from pathlib import Path

import numpy as np
from tests.unit.agents.inference.repository.conftest import content_of, model_of

from bellwire.agents.inference import InferenceRequest, InferenceResult, ModelManifest
from bellwire.agents.inference.repository import ModelRepository
from bellwire.agents.inference.rollout import (
    Author,
    RolloutBook,
    RolloutEndpoint,
    RolloutFile,
    Stage,
    is_candidates,
)

ADA = Author("ada", "gate passed")
KEYS = [f"SYM{number}" for number in range(30)]


class Direct:
    """The shortest endpoint: each request is computed at once."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        with self._repository.acquire(request.model, request.version) as engine:
            return InferenceResult(engine.infer(request.inputs), engine.manifest.key)

    def manifests(self) -> tuple[ModelManifest, ...]:
        return self._repository.manifests()


class Server:
    """What a serving process does: read the book, load what it needs, answer."""

    def __init__(self, root: Path) -> None:
        self.book = RolloutBook(root)
        self.repository = ModelRepository(root)
        self.door = RolloutEndpoint(Direct(self.repository))

    def refresh(self) -> None:
        rollouts = self.book.refresh()
        self.repository.refresh(self.book.needed())
        self.door.use(rollouts, {})

    async def answers(self) -> dict[str, float]:
        x = np.zeros((1, 1), "<f4")
        results = {
            key: await self.door.infer(InferenceRequest("actor", {"x": x}, key=key)) for key in KEYS
        }
        return {key: float(result.outputs["y"][0, 0]) for key, result in results.items()}


async def test_candidate_is_tried_promoted_and_taken_back_across_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for answer in (1, 2):
        server.repository.publish(model_of(), content_of(answer))
    file = RolloutFile(tmp_path, "actor")
    file.take(lambda rollout: rollout.start(2, Stage.CANARY, 0.3, ADA, 1), serving=1)
    server.refresh()
    split = {key: 2.0 if is_candidates("actor", key, 0.3) else 1.0 for key in KEYS}
    assert set(split.values()) == {1.0, 2.0}
    assert await server.answers() == split

    again = Server(tmp_path)
    again.refresh()
    assert await again.answers() == split

    file.take(lambda rollout: rollout.promote(ADA, 2))
    again.refresh()
    assert set((await again.answers()).values()) == {2.0}

    # A newer file is no newer version in service: that takes a step.
    again.repository.publish(model_of(), content_of(3))
    again.refresh()
    assert set((await again.answers()).values()) == {2.0}
    assert [each.key for each in again.door.manifests()] == ["actor:1", "actor:2", "actor:3"]

    file.take(lambda rollout: rollout.rollback(ADA, 3))
    again.refresh()
    assert set((await again.answers()).values()) == {1.0}
    again.repository.close()
