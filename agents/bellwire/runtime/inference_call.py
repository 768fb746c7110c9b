"""Answers one call of an inference endpoint: a request in, a response out; does no input or output."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Final

from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError

from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.runtime.agent import Agent
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.errors import AgentDefinitionError, UndecodableError
from bellwire.runtime.handlers import InferenceSpec
from bellwire.runtime.template import filled
from bellwire.runtime.tool_call import CONTENT_TYPE as JSON
from bellwire.runtime.tool_call import RESULT_BYTES_MAX
from bellwire.wire.errors import AgentFailedError, BellwireError, PayloadTooLargeError

logger = logging.getLogger(__name__)

REQUEST_TYPE: Final = f"application/x-protobuf; proto={InferRequest.DESCRIPTOR.full_name}"
RESPONSE_TYPE: Final = f"application/x-protobuf; proto={InferResponse.DESCRIPTOR.full_name}"
_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}")  # agent.proto: Capability.name


class Endpoints:
    """The inference endpoints of one agent instance by name.

    Raises:
        AgentSettingsError: A name is a template of a setting that the agent does not have.
        AgentDefinitionError: A name cannot be one, or is used twice.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.specs: dict[str, InferenceSpec] = {}
        taken = {spec.name for spec in agent.declarations.tools}
        for name, spec in _named(agent):
            if _NAME.fullmatch(name) is None:
                raise AgentDefinitionError(
                    f"inference endpoint {name!r} of agent {agent.name!r} is not {_NAME.pattern}"
                )
            if name in taken:
                raise AgentDefinitionError(
                    f"agent {agent.name!r} offers {name!r} twice; give each capability its own name"
                )
            taken.add(name)
            self.specs[name] = replace(spec, name=name)

    def __contains__(self, name: str) -> bool:
        return name in self.specs

    async def answer(
        self, name: str, arguments: bytes, content_type: str, context: CallContext
    ) -> tuple[bytes, str]:
        """Run an endpoint that exists; return the answer and its media type: JSON to who asked in JSON.

        Raises:
            UndecodableError: The arguments are no InferRequest.
            PayloadTooLargeError: The answer holds more than 1 MiB.
            AgentFailedError: The method raised something that is no BellwireError.
            BellwireError: What the method raised.
        """
        is_json = content_type == JSON
        response = await self.invoke(name, _request(name, arguments, is_json=is_json), context)
        data = (
            MessageToJson(response, preserving_proto_field_name=True, indent=None).encode()
            if is_json
            else response.SerializeToString()
        )
        if len(data) > RESULT_BYTES_MAX:
            raise PayloadTooLargeError(
                f"the answer of {name!r} holds {len(data)} bytes, limit is {RESULT_BYTES_MAX}: "
                "ask with fewer rows",
                metadata={"limit": str(RESULT_BYTES_MAX)},
            )
        return data, JSON if is_json else RESPONSE_TYPE

    async def invoke(self, name: str, request: InferRequest, context: CallContext) -> InferResponse:
        """Run the method of an endpoint that exists.

        Cancellation and time-outs pass through to whoever set them.

        Raises:
            AgentFailedError: It raised something that is no BellwireError, or returned no InferResponse.
            BellwireError: What it raised.
        """
        method: Callable[[InferRequest, CallContext], Awaitable[object]] = getattr(
            self._agent, self.specs[name].method
        )
        try:
            response = await method(request, context)
        except BellwireError:
            raise
        except Exception as error:
            # The boundary of code we did not write: its failure is an answer, not a crash.
            logger.exception("endpoint %s of %s failed", name, self._agent.agent_id)
            raise AgentFailedError(
                f"endpoint {name!r} of agent {self._agent.agent_id!r} raised "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(response, InferResponse):
            raise AgentFailedError(
                f"endpoint {name!r} of agent {self._agent.agent_id!r} returned "
                f"{type(response).__name__}, expected an InferResponse"
            )
        return response


def _named(agent: Agent) -> Iterator[tuple[str, InferenceSpec]]:
    """Yield every endpoint under its own name and under those that the agent has for it beside."""
    for spec in agent.declarations.endpoints:
        names = (filled(spec.name, agent), *agent.endpoint_names(spec.method))
        for name in dict.fromkeys(names):
            yield name, spec


def _request(name: str, arguments: bytes, *, is_json: bool) -> InferRequest:
    try:
        if is_json:
            return Parse(arguments, InferRequest())
        return InferRequest.FromString(arguments)
    except (DecodeError, ParseError, UnicodeDecodeError) as error:
        raise UndecodableError(
            f"arguments of {name!r} are no {'JSON of ' * is_json}bellwire.agent.v1.InferRequest: {error}"
        ) from error
