"""List tools, call one, and print what it answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_INFERENCE, AgentStatus
from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.output import (
    Style,
    console,
    error_console,
    harmless,
    plain_table,
    print_json,
)
from bellwire.cli.session import Target, connected

if TYPE_CHECKING:
    from bellwire.mcp.v1.mcp_pb2 import Tool

__all__ = [
    "CallableModel",
    "call_one",
    "callable_models",
    "list_all",
    "parameters_text",
    "parse_arguments",
]

MODEL_ARGUMENTS: Final = "inputs: array, …"  # of bellwire.agent.v1.InferRequest


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
    """Print what can be called: tools, then models, of all live agents."""
    async with connected(target) as client:
        tools = await client.list_tools()
        models = callable_models(await client.admin.list_agents())
    if as_json:
        for line in (*map(_tool_json, tools), *map(_model_json, models)):
            print_json(line)
        return
    if not tools and not models:
        console().print("no live agent has a tool or a model", style=Style.FAINT)
        return
    table = plain_table("name", "arguments", "agents", "what it does", right=(2,))
    for tool in tools:
        arguments = parameters_text(tool.input_schema_json)
        table.add_row(
            Text(harmless(tool.name), Style.NAME), arguments, str(tool.agents), tool.description
        )
    for model in models:
        name = Text(harmless(model.name), Style.NAME)
        table.add_row(name, MODEL_ARGUMENTS, str(model.agents), harmless(model.description))
    console().print(table)


@dataclass(frozen=True, slots=True)
class CallableModel:
    """An inference endpoint that live agents share."""

    name: str
    title: str
    description: str
    """Of the first agent that has it."""
    agents: int


def callable_models(statuses: Sequence[AgentStatus]) -> list[CallableModel]:
    """Return the inference endpoints of agents, ordered by name."""
    found: dict[str, CallableModel] = {}
    for status in statuses:
        for each in status.agent.capabilities:
            if each.kind == CAPABILITY_KIND_INFERENCE:
                first = found.get(each.name)
                found[each.name] = (
                    replace(first, agents=first.agents + 1)
                    if first
                    else CallableModel(each.name, each.title, each.description, 1)
                )
    return sorted(found.values(), key=lambda model: model.name)


def _model_json(model: CallableModel) -> dict[str, object]:
    return {
        "name": model.name,
        "kind": "inference",
        "title": model.title,
        "description": model.description,
        "agents": model.agents,
        "input_schema": None,
        "output_schema": None,
    }


def _tool_json(tool: Tool) -> dict[str, object]:
    return {
        "name": tool.name,
        "kind": "tool",
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
    if not isinstance(about, dict):
        return "any"
    one_of = about.get("anyOf")
    if isinstance(one_of, list):
        return " | ".join(map(_type_word, one_of)) or "any"
    found = about.get("type", "any")
    return " | ".join(map(str, found)) if isinstance(found, list) else str(found)


def _schema(schema_json: bytes) -> dict[str, Any] | None:
    """Return the schema an agent registered; an agent may register anything, so None for no object."""
    try:
        found = json.loads(schema_json) if schema_json else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
