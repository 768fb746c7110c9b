"""McpService: the tools of all agents as one MCP server (revision 2026-07-28)."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from bellwire.agent.v1.invocation_pb2 import CACHE_LEVEL_UNSPECIFIED, InvokeRequest
from bellwire.coordinator.services.invocation import Dispatcher
from bellwire.coordinator.services.once import once
from bellwire.coordinator.services.paging import page_of
from bellwire.coordinator.state import CoordinatorState
from bellwire.mcp.v1 import mcp_pb2 as pb
from bellwire.transport.serving.status import ServicerContext, time_left
from bellwire.wire.errors import (
    BellwireError,
    CallerError,
    NoCapableAgentError,
    StatusCode,
    UnknownToolError,
)

PROTOCOL_VERSION: Final = "2026-07-28"
TOOLS_TTL_MILLIS: Final = 1_000  # Agents come and go; their leases last seconds.
PAGE_SIZE: Final = 100
MCP_ERROR_KEY: Final = "mcp-error-code"  # Trailer that Google's MCP transport reads, too.
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
UNSUPPORTED_VERSION: Final = -32022
EMPTY_OBJECT_SCHEMA: Final = b'{"type":"object"}'


class UnsupportedVersionError(CallerError):
    """The MCP revision is not one this server speaks."""

    reason = "UNSUPPORTED_PROTOCOL_VERSION"
    code = StatusCode.FAILED_PRECONDITION


CALL_TOOL: Final = "bellwire.mcp.v1.McpService/CallTool"


class McpService:
    """Lists and calls tools."""

    def __init__(self, state: CoordinatorState, dispatcher: Dispatcher) -> None:
        self._state = state
        self._dispatcher = dispatcher

    async def ListTools(
        self, request: pb.ListToolsRequest, context: ServicerContext
    ) -> pb.ListToolsResponse:
        """List every tool of every live agent, ordered by name."""
        _check_version(request.meta, context)
        federation = self._state.federation
        tools = list(
            self._state.registry.tools()
            if federation is None
            else federation.fleet.tools(time.monotonic())
        )
        page, cursor = page_of(tools, lambda item: item[0].name, PAGE_SIZE, request.cursor)
        return pb.ListToolsResponse(
            tools=[
                pb.Tool(
                    name=tool.name,
                    title=tool.title,
                    description=tool.description,
                    input_schema_json=tool.input_schema_json or EMPTY_OBJECT_SCHEMA,
                    output_schema_json=tool.output_schema_json,
                    agents=agents,
                )
                for tool, agents in page
            ],
            next_cursor=cursor,
            ttl_millis=TOOLS_TTL_MILLIS,
            cache_scope=pb.CACHE_SCOPE_PUBLIC,
        )

    async def CallTool(
        self, request: pb.CallToolRequest, context: ServicerContext
    ) -> pb.CallToolResponse:
        """Call a tool of the least loaded agent that has it."""
        _check_version(request.meta, context)

        async def carry_out() -> pb.CallToolResponse:
            return await self._call(request, context)

        return await once(
            self._state, CALL_TOOL, request, pb.CallToolResponse, carry_out, wait=False
        )

    async def _call(
        self, request: pb.CallToolRequest, context: ServicerContext
    ) -> pb.CallToolResponse:
        _set_error_code(context, INVALID_PARAMS)
        call = self._invoke_request(request)
        timeout = time_left(context, self._state.settings.call_timeout_seconds)
        try:
            reply = await self._dispatcher.invoke(call, timeout)
        except NoCapableAgentError as error:
            if "coordinator" in error.metadata:  # There is one, which could not be reached.
                _set_error_code(context, INTERNAL_ERROR)
                raise
            raise UnknownToolError(
                f"no live agent has a tool {request.name!r}: `bellwire call --list` shows all",
                metadata=error.metadata,
            ) from None
        except BellwireError as error:
            _set_error_code(context, INTERNAL_ERROR if error.retryable else INVALID_PARAMS)
            raise
        context.set_trailing_metadata(())
        value = _parsed(reply.result)
        text = value if isinstance(value, str) else reply.result.decode(errors="replace")
        block = json.dumps({"type": "text", "text": text})
        return pb.CallToolResponse(
            result_type=pb.RESULT_TYPE_COMPLETE,
            content=[pb.Content(content_json=block.encode())],
            structured_content_json=(
                b"" if isinstance(value, str) or reply.is_error else reply.result
            ),
            is_error=reply.is_error,
            agent_id=reply.agent_id,
            cached=reply.cache_level != CACHE_LEVEL_UNSPECIFIED,
        )

    def _invoke_request(self, request: pb.CallToolRequest) -> InvokeRequest:
        arguments = request.arguments_json or b"{}"
        try:
            value = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            raise CallerError(
                f"arguments_json of tool {request.name!r} is no JSON that can be read: {error}",
                metadata={"tool": request.name},
            ) from None
        if not isinstance(value, dict):
            raise CallerError(
                f"arguments_json of tool {request.name!r} is a JSON {type(value).__name__}, "
                "an object is expected",
                metadata={"tool": request.name},
            )
        return InvokeRequest(
            capability=request.name,
            arguments=arguments,
            request_id=request.request_id,
            traceparent=request.meta.traceparent,
            tracestate=request.meta.tracestate,
        )


def _set_error_code(context: ServicerContext, code: int) -> None:
    context.set_trailing_metadata(((MCP_ERROR_KEY, str(code)),))


def _check_version(meta: pb.RequestMeta, context: ServicerContext) -> None:
    if meta.protocol_version not in ("", PROTOCOL_VERSION):
        _set_error_code(context, UNSUPPORTED_VERSION)
        raise UnsupportedVersionError(
            f"MCP revision {meta.protocol_version!r} is not spoken here: use {PROTOCOL_VERSION!r}",
            metadata={"supported": PROTOCOL_VERSION},
        )


def _parsed(result: bytes) -> Any:
    try:
        return json.loads(result)
    except (ValueError, RecursionError):
        return result.decode(errors="replace")
