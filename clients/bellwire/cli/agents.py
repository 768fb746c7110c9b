"""`bellwire agents`: who is registered, and how busy they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from bellwire.agent.v1.agent_pb2 import AgentStatus
    from bellwire.cli.session import Target

__all__ = ["agent_json", "agents_table", "app"]

app = typer.Typer(help="Look at the agents whose lease is alive.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `list` a verb of its own: Typer folds a group with a single command."""


@app.command("list")
def list_agents(
    capability: Annotated[
        str, typer.Option("--capability", metavar="NAME", help="Only agents that have it.")
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List live agents with their tools, topics and load."""
    from bellwire.cli.session import read_target, run_async

    target = read_target(address, config, assignments)
    run_async(lambda: _show(target, capability, as_json=json))


async def _show(target: Target, capability: str, *, as_json: bool) -> None:
    from bellwire.cli.output import Style, console, print_json
    from bellwire.cli.session import connected

    async with connected(target) as client:
        found = await client.admin.list_agents(capability)
    if as_json:
        for status in found:
            print_json(agent_json(status))
    elif found:
        console().print(agents_table(found))
    else:
        console().print("no live agents", style=Style.FAINT)


def agents_table(found: Sequence[AgentStatus]) -> Table:
    """Return one line per agent."""
    from bellwire.cli.output import Style, plain_table
    from bellwire.cli.units import bytes_text, count_text

    table = plain_table(
        "agent",
        "pid",
        "tools",
        "reads",
        "writes",
        "handled",
        "errors",
        "calls",
        "cpu",
        "memory",
        right=(1, 5, 6, 7, 8, 9),
    )
    for status in found:
        agent, load = status.agent, status.load
        errors = count_text(load.handler_errors)
        table.add_row(
            f"[{Style.NAME}]{agent.agent_id}[/]" + (" (draining)" if status.draining else ""),
            str(agent.pid),
            ", ".join(capability.name for capability in agent.capabilities) or "-",
            ", ".join(agent.subscribes) or "-",
            ", ".join(agent.publishes) or "-",
            count_text(load.messages_handled),
            f"[{Style.BAD}]{errors}[/]" if load.handler_errors else errors,
            str(status.in_flight),
            f"{load.cpu_seconds:.1f} s",
            bytes_text(load.rss_bytes),
        )
    return table


def agent_json(status: AgentStatus) -> dict[str, object]:
    """Return what the directory knows of one agent."""
    agent, load = status.agent, status.load
    return {
        "agent_id": agent.agent_id,
        "name": agent.name,
        "version": agent.version,
        "pid": agent.pid,
        "host": agent.host,
        "device": agent.device,
        "tools": [capability.name for capability in agent.capabilities],
        "subscribes": list(agent.subscribes),
        "publishes": list(agent.publishes),
        "max_in_flight": agent.max_in_flight,
        "in_flight": status.in_flight,
        "draining": status.draining,
        "messages_handled": load.messages_handled,
        "handler_errors": load.handler_errors,
        "restarts": load.restarts,
        "cpu_seconds": load.cpu_seconds,
        "rss_bytes": load.rss_bytes,
        "lease_expire_time_unix_nano": status.lease_expire_time_unix_nano,
    }
