"""Everything that an agent instance can be called for: its tools and its inference endpoints."""

from collections.abc import Iterator
from dataclasses import dataclass

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_INFERENCE,
    CAPABILITY_KIND_TOOL,
    CachePolicy,
    Call,
    Capability,
)
from bellwire.runtime.agent import Agent
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.handlers import InferenceSpec, ToolSpec
from bellwire.runtime.inference_call import Endpoints
from bellwire.runtime.tool_call import CONTENT_TYPE, Toolbox


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered with."""

    result: bytes
    content_type: str = CONTENT_TYPE
    is_error: bool = False
    """True when a tool failed and `result` tells why."""


class Offer:
    """Answers calls by their capability."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._toolbox = Toolbox(agent)
        self._endpoints = Endpoints(agent)

    def read_names(self) -> None:
        """Ask the agent anew what its endpoints are called; to be done when it has started.

        Raises:
            AgentDefinitionError: A name cannot be one, or is used twice.
        """
        self._endpoints = Endpoints(self._agent)

    def __contains__(self, name: str) -> bool:
        return name in self._toolbox or name in self._endpoints

    @property
    def names(self) -> list[str]:
        """Of all capabilities, in order."""
        return sorted((*self._toolbox.specs, *self._endpoints.specs))

    def is_tool(self, name: str) -> bool:
        """Tell a tool from an inference endpoint."""
        return name in self._toolbox

    def capabilities(self) -> Iterator[Capability]:
        """Describe them for the directory."""
        for tool in self._toolbox.specs.values():
            yield _tool(tool)
        for endpoint in self._endpoints.specs.values():
            yield _endpoint(endpoint)

    async def answer(self, call: Call, context: CallContext) -> Answer:
        """Answer a call whose capability exists.

        Raises:
            BellwireError: An endpoint's failure; that of a tool is an answer.
        """
        name = call.capability
        if name in self._toolbox:
            told = await self._toolbox.answer(name, call.arguments, context)
            return Answer(told.result, is_error=told.is_error)
        return Answer(
            *await self._endpoints.answer(name, call.arguments, call.content_type, context)
        )


def _tool(spec: ToolSpec) -> Capability:
    return Capability(
        name=spec.name,
        kind=CAPABILITY_KIND_TOOL,
        description=spec.description,
        input_schema_json=spec.input_schema_json,
        title=spec.title,
        cache=_cache(spec),
    )


def _endpoint(spec: InferenceSpec) -> Capability:
    return Capability(
        name=spec.name,
        kind=CAPABILITY_KIND_INFERENCE,
        description=spec.description,
        title=spec.title,
        cache=_cache(spec),
    )


def _cache(spec: ToolSpec | InferenceSpec) -> CachePolicy | None:
    if not spec.cache_millis:
        return None
    return CachePolicy(ttl_millis=spec.cache_millis, outdated_by=spec.outdated_by)
