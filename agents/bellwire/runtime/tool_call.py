"""Answers one tool call: arguments in, JSON out; does no input or output."""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as ProtoMessage

from bellwire.runtime.agent import Agent
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.handlers import ToolSpec
from bellwire.wire.errors import CallerError

logger = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/json"
RESULT_BYTES_MAX: Final = 1024 * 1024  # as large as the arguments of a call may be
MESSAGE_CHARACTERS_MAX: Final = 1024  # of an error told to the caller, as in ItemError


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The JSON a tool answered, or why it failed."""

    result: bytes
    is_error: bool = False


class Toolbox:
    """The tools of one agent instance by name."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self.specs = {spec.name: spec for spec in agent.declarations.tools}

    def __contains__(self, name: str) -> bool:
        return name in self.specs

    async def answer(self, name: str, arguments: bytes, context: CallContext) -> ToolResult:
        """Run a tool that exists; every failure of it becomes an error result.

        Cancellation and time-outs pass through to whoever set them.
        """
        spec = self.specs[name]
        try:
            value = await self.invoke(spec, arguments, context)
            return _encoded(spec, value)
        except CallerError as error:
            # An answer to whoever asked wrongly, and no failure to be looked into.
            logger.info("tool %s of %s refused: %s", name, self._agent.agent_id, error.message)
            return error_result(error.reason, error.code.name, error.message)
        except Exception as error:
            # The boundary of code we did not write: its failure is an answer, not a crash.
            logger.exception("tool %s of %s failed", name, self._agent.agent_id)
            return error_result(type(error).__name__, "UNKNOWN", str(error))

    async def invoke(self, spec: ToolSpec, arguments: bytes, context: CallContext) -> object:
        """Decode the arguments and run the method.

        Raises:
            InvalidToolArgumentsError: The arguments do not fit the schema.
            Exception: Whatever the tool raised.
        """
        keywords = spec.signature.decode(arguments)
        if spec.signature.injected is not None:
            keywords[spec.signature.injected] = context
        method: Callable[..., Awaitable[object]] = getattr(self._agent, spec.method)
        return await method(**keywords)


def error_result(reason: str, code: str, message: str) -> ToolResult:
    """Return the result that tells a model why a tool failed.

    Args:
        reason: Stable word, or the exception's type.
        code: Canonical status name.
        message: What was wrong; cut to 1,024 characters.
    """
    error = {"code": code, "reason": reason, "message": message[:MESSAGE_CHARACTERS_MAX]}
    return ToolResult(json.dumps({"error": error}).encode(), is_error=True)


def _encoded(spec: ToolSpec, value: object) -> ToolResult:
    if isinstance(value, ProtoMessage):
        value = MessageToDict(value, preserving_proto_field_name=True)
    try:
        result = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return error_result("INVALID_TOOL_RESULT", "INTERNAL", f"tool {spec.name!r}: {error}")
    if len(result) > RESULT_BYTES_MAX:
        return error_result(
            "TOOL_RESULT_TOO_LARGE",
            "RESOURCE_EXHAUSTED",
            f"tool {spec.name!r} returned {len(result)} bytes, limit is {RESULT_BYTES_MAX}",
        )
    return ToolResult(result)
