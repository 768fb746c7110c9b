"""List tools, call one, and print what it answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.output import Style, console, error_console, plain_table, print_json
from bellwire.cli.session import Target, connected

if TYPE_CHECKING:
    from bellwire.mcp.v1.mcp_pb2 import Tool

__all__ = ["call_one", "list_all", "parameters_text", "parse_arguments"]


def parse_arguments(text: str) -> dict[str, object]:
    """Read the arguments of a tool.

    Raises:
        UsageFault: When they are no JSON object.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageFault(
            f'the arguments are not JSON ({error}); quote them: \'{{"symbol": "EURUSD"}}\''
        ) from None
    if not isinstance(found, dict):
        raise UsageFault(f"the arguments are a JSON {type(found).__name__}; expected an object")
    return found


async def call_one(
    target: Target,
    tool: str,
    arguments: dict[str, object],
    seconds: float,
    request_id: str = "",
    *,
    as_json: bool,
) -> None:
    """Call a tool and print its answer; under the same request id the same call gets the stored one.

    Raises:
        CommandError: When the tool itself failed; the text is what it said.
        BellwireError: When the call did not reach it or was not answered in time.
    """
    async with connected(target) as client:
        reply = await client.call_tool(tool, arguments, request_id=request_id, timeout=seconds)
    structured = reply.json()
    if as_json:
        print_json(
            {
                "tool": tool,
                "agent": reply.agent_id,
                "is_error": reply.is_error,
                "replayed": reply.replayed,
                "cached": reply.cached,
                "result": structured,
                "text": reply.text,
            }
        )
    if reply.is_error:
        raise CommandError(f"{tool} failed on {reply.agent_id}: {reply.text or structured}")
    if not as_json:
        _print_answer(structured, reply.text)
        before = " before" if reply.replayed else ""
        cached = " (cached)" if reply.cached else ""
        error_console().print(f"answered{before} by {reply.agent_id}{cached}", style=Style.FAINT)


def _print_answer(structured: object, text: str) -> None:
    out = console()
    if structured is None:
        out.print(text, markup=False)
    else:
        out.print_json(json.dumps(structured, ensure_ascii=False))


async def list_all(target: Target, *, as_json: bool) -> None:
    """Print the tools of all live agents."""
    async with connected(target) as client:
        tools = await client.list_tools()
    if as_json:
        for tool in tools:
            print_json(_tool_json(tool))
        return
    if not tools:
        console().print("no live agent has a tool", style=Style.FAINT)
        return
    table = plain_table("tool", "arguments", "agents", "what it does", right=(2,))
    for tool in tools:
        table.add_row(
            f"[{Style.NAME}]{tool.name}[/]",
            parameters_text(tool.input_schema_json),
            str(tool.agents),
            tool.description,
        )
    console().print(table)


def _tool_json(tool: Tool) -> dict[str, object]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "agents": tool.agents,
        "input_schema": _schema(tool.input_schema_json),
        "output_schema": _schema(tool.output_schema_json),
    }


def parameters_text(schema_json: bytes) -> str:
    """Return the parameters of a schema as in a signature: `symbol: string, limit?: integer`."""
    schema = _schema(schema_json) or {}
    required = set(schema.get("required", ()))
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {_type_word(about)}"
        for name, about in schema.get("properties", {}).items()
    )


def _type_word(about: Any) -> str:
    found = about.get("type", "any") if isinstance(about, dict) else "any"
    return " | ".join(map(str, found)) if isinstance(found, list) else str(found)


def _schema(schema_json: bytes) -> dict[str, Any] | None:
    """Return the schema an agent registered; an agent may register anything, so None for no object."""
    try:
        found = json.loads(schema_json) if schema_json else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
