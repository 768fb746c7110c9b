"""`bellwire agents`: who is registered, and how busy they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from bellwire.cli.session import Target

__all__ = ["app"]

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
    from bellwire.cli.agent_view import agent_json, print_agents
    from bellwire.cli.output import Style, console, print_json
    from bellwire.cli.session import connected

    async with connected(target) as client:
        found = await client.admin.list_agents(capability)
    if as_json:
        for status in found:
            print_json(agent_json(status))
    elif found:
        print_agents(found, console())
    else:
        console().print("no live agents", style=Style.FAINT)
