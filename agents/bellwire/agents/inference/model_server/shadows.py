"""The shadows of all models, made and ended as their rollouts say."""

from collections.abc import Iterable

from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.rollout import Rollout, Shadow, ShadowSettings, Stage


class Shadows:
    """One shadow for each model whose rollout is in that stage; a new pair of versions begins a new report.

    Attributes:
        by_model: Those that run.
    """

    def __init__(self, candidates: Endpoint, settings: ShadowSettings) -> None:
        """Begin with none; `candidates` are asked for single versions."""
        self._candidates = candidates
        self._settings = settings
        self._pairs: dict[str, tuple[int, int]] = {}
        self.by_model: dict[str, Shadow] = {}

    async def follow(self, rollouts: Iterable[Rollout]) -> None:
        """End those that are not wanted any more, and begin those that are."""
        wanted = {
            rollout.model: (rollout.serving, rollout.candidate)
            for rollout in rollouts
            if rollout.stage is Stage.SHADOW
        }
        for model in [model for model, pair in self._pairs.items() if wanted.get(model) != pair]:
            await self._end(model)
        for model, pair in wanted.items():
            if model not in self.by_model:
                shadow = Shadow(self._candidates, pair[1], self._settings)
                self.by_model[model] = await shadow.__aenter__()
                self._pairs[model] = pair

    async def close(self) -> None:
        """End all of them."""
        for model in tuple(self.by_model):
            await self._end(model)

    async def _end(self, model: str) -> None:
        del self._pairs[model]
        await self.by_model.pop(model).close()
