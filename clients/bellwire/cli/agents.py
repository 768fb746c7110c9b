"""`bellwire agents`: start agents and keep them running; who is registered, and how busy they are."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from bellwire.cli.session import Target

__all__ = ["app"]

app = typer.Typer(help="Run agents, and look at those whose lease is alive.", no_args_is_help=True)


class LogLevel(StrEnum):
    """From which level on agents' processes log; the stack of what fails at the start is DEBUG."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command()
def run(
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AGENT",
            help="tactical, rules, strategic, risk, paper, feed, module:Class, file.py:Class, or NAME of a table "
            "agents.NAME in bellwire.toml; without any, all those tables.",
            show_default=False,
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas", "-n", min=1, max=256, help="Processes of each; they share the messages."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="DEVICE", help="cpu (default), cpu:2,3, cpu:0-3, cuda:0."),
    ] = None,
    degrade: Annotated[
        bool | None,
        typer.Option(
            "--degrade", help="Run on what is there when the device is not.", show_default=False
        ),
    ] = None,
    standby: Annotated[
        bool | None,
        typer.Option(
            "--standby/--no-standby",
            help="Keep a warm spare of each process, for a crash.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            "-s",
            metavar="KEY=VALUE",
            help="Of the agent itself, dotted where nested; may be repeated.",
        ),
    ] = None,
    restarts: Annotated[
        int | None,
        typer.Option("--restarts", min=0, help="Of one process in a minute; more give it up."),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="What the processes log, to stderr.")
    ] = LogLevel.WARNING,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Run agents in processes that are started again when they crash, until SIGTERM or Ctrl-C.

    For example: bellwire agents run tactical -s bars_topic=bars.5m, or: bellwire agents run my_agent.py:Breakout -n 2
    """
    from bellwire.cli.agent_choice import AgentFlags
    from bellwire.cli.agent_running import SECTIONS, run_agents
    from bellwire.cli.settings import Request

    flags = AgentFlags(replicas, device, standby, degrade, tuple(settings or ()))
    request = Request(
        config=config,
        assignments=assignments or (),
        flags={"command.address": address, "supervisor.restarts_max": restarts},
        sections=SECTIONS,
    )
    run_agents(agents or (), flags, request, log_level=log_level.value, as_json=json)


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
