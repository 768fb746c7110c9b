"""The version that another one was quantized from: loaded beside it, and asked in its place."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bellwire.agents.inference.endpoint import (
    ChoosesVersions,
    Endpoint,
    InferenceRequest,
    InferenceResult,
)
from bellwire.agents.inference.errors import UnknownModelError
from bellwire.agents.inference.gate import PARENT, parent_of
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.model_server.chain_plan import ChainPlan


class ParentEndpoint:
    """An `Endpoint` that asks the parent of the version in service, as that version's manifest names it."""

    def __init__(self, door: Endpoint) -> None:
        """Take who answers for single versions, and chooses the one in service."""
        self._door = door

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer by the parent; raises as `Endpoint.infer`.

        Raises:
            UnknownModelError: The version in service has none, or it is not loaded, or another one is in its place.
        """
        found = self.find(request.model)
        if found is None:
            known = tuple(each.key for each in self._door.manifests())
            raise UnknownModelError(request.model, PARENT, known)
        return await self._door.infer(replace(request, model=found.name, version=found.version))

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Those of the door."""
        return self._door.manifests()

    def find(self, model: str) -> ModelManifest | None:
        """Return the parent of the version in service; None = it has none, or that is not loaded.

        Raises:
            InvalidModelError: Nobody knows which version is in service.
        """
        version = 0
        if isinstance(self._door, ChoosesVersions):
            version = self._door.version_in_service(model)
        manifests = self._door.manifests()
        own = {each.version: each for each in manifests if each.name == model}
        serving = own.get(version or max(own, default=0))
        parent = None if serving is None else parent_of(serving)
        if parent is None:
            return None
        return next((each for each in manifests if parent.is_still(each)), None)


class ChainVersions:
    """Which versions chains ask for besides those that rollouts have in service; no I/O."""

    def __init__(self, plans: Iterable[ChainPlan]) -> None:
        """Take the chains; parents are not known before `learn`."""
        steps = [step for plan in plans for step in plan.parsed()]
        self._named: dict[str, frozenset[int]] = {}
        for step in steps:
            if step.version:
                self._named = united(self._named, {step.model: frozenset({step.version})})
        self._with_parents = frozenset(step.model for step in steps if step.is_parent)
        self._parents: dict[str, frozenset[int]] = {}

    def beside(self, needed: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
        """Return the versions to be loaded, by model, given those that rollouts need."""
        return united(united(needed, self._named), self._parents)

    def learn(self, loaded: Iterable[ModelManifest]) -> bool:
        """Note the parents of what is loaded; tell whether they are others than before."""
        found: dict[str, frozenset[int]] = {}
        for manifest in loaded:
            parent = parent_of(manifest) if manifest.name in self._with_parents else None
            if parent is not None:
                found = united(found, {parent.name: frozenset({parent.version})})
        is_new, self._parents = found != self._parents, found
        return is_new


def united(
    one: Mapping[str, frozenset[int]], other: Mapping[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """Return the versions of both, by model."""
    none: frozenset[int] = frozenset()
    return {name: one.get(name, none) | other.get(name, none) for name in one.keys() | other.keys()}
