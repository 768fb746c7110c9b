"""Models for whom others stand in."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.endpoint import (
    ChoosesVersions,
    Endpoint,
    InferenceRequest,
    InferenceResult,
    OfferedChain,
)
from bellwire.agents.inference.errors import InvalidModelError, UnknownModelError
from bellwire.agents.inference.guard import Guard, GuardSettings
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.model_server.chain_plan import ChainPlan, ChainStep
from bellwire.agents.inference.model_server.parents import ParentEndpoint
from bellwire.agents.inference.tensor import TensorSpec

_Specs: TypeAlias = "tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]"
"""Inputs and outputs."""


class ChainsEndpoint:
    """An `Endpoint` that asks a chain where there is one for the name, and else the models' own door.

    Who names a version means it: such a request passes the chains by.

    Attributes:
        chains: By the name they answer for.
    """

    def __init__(
        self,
        door: Endpoint,
        plans: Iterable[ChainPlan],
        guard: GuardSettings,
        stand_ins: Mapping[str, Endpoint],
    ) -> None:
        """Arrange the chains; HOLD cannot answer before `adopt` has seen what the models' outputs are.

        Args:
            door: Answers for single models.
            plans: One for each name.
            guard: Bounds of each step.
            stand_ins: Steps that are no models of the door, such as rules, by name.
        """
        self._door = door
        self._plans = {plan.name: plan for plan in plans}
        self._stand_ins = frozenset(stand_ins)
        self._specs: dict[str, _Specs] = {}
        self.chains: Mapping[str, FallbackChain] = {
            plan.name: FallbackChain(
                [_step(step, door, guard, stand_ins) for step in plan.parsed()]
            )
            for plan in self._plans.values()
        }

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer by the chain, or by the model; raises as `Endpoint.infer`."""
        chain = None if request.version else self.chains.get(request.model)
        if chain is not None:
            return await chain.infer(request)
        try:
            return await self._door.infer(request)
        except UnknownModelError as error:
            known = (*error.known, *self.chains)
            raise UnknownModelError(error.model, error.version, known) from error

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Those of the door."""
        return self._door.manifests()

    def of_step(self, model: str) -> tuple[str, ...]:
        """Return the names of the chains that may ask a model."""
        return tuple(plan.name for plan in self._plans.values() if model in plan.models)

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        """Return every chain as it is now."""
        return tuple(
            OfferedChain(name, *self._specs.get(name, ((), ())), self._is_ready(name))
            for name in self._plans
        )

    def adopt(self, models: Collection[str]) -> dict[str, str]:
        """Learn from what is loaded now how HOLD looks; return what is wrong with chains, by name.

        Args:
            models: Names of all models there are, loaded or not: a step that is none of them is a slip of the pen.
        """
        newest = {manifest.name: manifest for manifest in self._door.manifests()}
        problems = {}
        for plan in self._plans.values():
            named = dict.fromkeys(step.model for step in plan.parsed())
            loaded = [newest[name] for name in named if name in newest]
            if loaded:
                self._learn(plan, loaded[0])
            problem = self._problem(plan, loaded, models)
            if problem:
                problems[f"chain {plan.name}"] = problem
        return problems

    def _problem(
        self, plan: ChainPlan, loaded: Sequence[ModelManifest], models: Collection[str]
    ) -> str:
        known = (*models, *self._stand_ins)
        absent = [step.text for step in plan.parsed() if step.model not in known]
        if absent:
            return f"there is no model {', '.join(map(repr, absent))}; there are {', '.join(models) or 'none'}"
        if not loaded and not self._stand_ins.intersection(plan.steps):
            return "none of its models is loaded"
        for manifest in loaded[1:]:
            if not _is_like(manifest, loaded[0]):
                return f"{manifest.key} has other inputs or outputs than {loaded[0].key}"
        return ""

    def _learn(self, plan: ChainPlan, manifest: ModelManifest) -> None:
        specs = manifest.inputs, manifest.outputs
        if self._specs.get(plan.name) == specs:
            return
        self._specs[plan.name] = specs
        if plan.holds:
            self.chains[plan.name].last = hold(manifest.outputs)

    def _is_ready(self, name: str) -> bool:
        return self.chains[name].last is not None or any(
            map(self._may_ask, self._plans[name].parsed())
        )

    def _may_ask(self, step: ChainStep) -> bool:
        if step.text in self._stand_ins:
            return True
        try:
            if step.is_parent:
                return ParentEndpoint(self._door).find(step.model) is not None
            number = step.version
            if not number and isinstance(self._door, ChoosesVersions):
                number = self._door.version_in_service(step.model)
        except InvalidModelError:  # Nobody knows which version is to answer.
            return False
        return any(
            each.name == step.model and number in (0, each.version)
            for each in self._door.manifests()
        )


def _step(
    step: ChainStep, door: Endpoint, settings: GuardSettings, stand_ins: Mapping[str, Endpoint]
) -> Guard:
    if step.text in stand_ins:
        return Guard(step.text, stand_ins[step.text], settings)
    asked = ParentEndpoint(door) if step.is_parent else door
    return Guard(step.text, asked, settings, model=step.model, version=step.version)


def _is_like(one: ModelManifest, other: ModelManifest) -> bool:
    return (one.inputs, one.outputs) == (other.inputs, other.outputs)
