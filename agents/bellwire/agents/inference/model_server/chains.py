"""Models for whom others stand in."""

from collections.abc import Iterable, Mapping

from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.endpoint import Endpoint, InferenceRequest, InferenceResult
from bellwire.agents.inference.guard import Guard, GuardSettings
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.model_server.chain_plan import ChainPlan, ChainStep
from bellwire.agents.inference.model_server.parents import ParentEndpoint
from bellwire.agents.inference.tensor import TensorSpec


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
        self._outputs: dict[str, tuple[TensorSpec, ...]] = {}
        self.chains: Mapping[str, FallbackChain] = {
            plan.name: FallbackChain(
                [_step(step, door, guard, stand_ins) for step in plan.parsed()]
            )
            for plan in self._plans.values()
        }

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer by the chain, or by the model; raises as `Endpoint.infer`."""
        chain = None if request.version else self.chains.get(request.model)
        if chain is None:
            return await self._door.infer(request)
        return await chain.infer(request)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """Those of the door."""
        return self._door.manifests()

    def of_step(self, model: str) -> tuple[str, ...]:
        """Return the names of the chains that may ask a model."""
        return tuple(plan.name for plan in self._plans.values() if model in plan.models)

    def adopt(self) -> dict[str, str]:
        """Learn from what is loaded now how HOLD looks; return what is wrong with chains, by name."""
        newest = {manifest.name: manifest for manifest in self._door.manifests()}
        problems = {}
        for plan in self._plans.values():
            named = dict.fromkeys(step.model for step in plan.parsed())
            loaded = [newest[name] for name in named if name in newest]
            if not loaded:
                problems[f"chain {plan.name}"] = "none of its models is loaded"
                continue
            self._learn(plan, loaded[0].outputs)
            for manifest in loaded[1:]:
                if not _is_like(manifest, loaded[0]):
                    text = f"{manifest.key} has other inputs or outputs than {loaded[0].key}"
                    problems[f"chain {plan.name}"] = text
        return problems

    def _learn(self, plan: ChainPlan, outputs: tuple[TensorSpec, ...]) -> None:
        if plan.holds and self._outputs.get(plan.name) != outputs:
            self._outputs[plan.name] = outputs
            self.chains[plan.name].last = hold(outputs)


def _step(
    step: ChainStep, door: Endpoint, settings: GuardSettings, stand_ins: Mapping[str, Endpoint]
) -> Guard:
    if step.text in stand_ins:
        return Guard(step.text, stand_ins[step.text], settings)
    asked = ParentEndpoint(door) if step.is_parent else door
    return Guard(step.text, asked, settings, model=step.model, version=step.version)


def _is_like(one: ModelManifest, other: ModelManifest) -> bool:
    return (one.inputs, one.outputs) == (other.inputs, other.outputs)
