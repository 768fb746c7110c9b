"""`bellwire call`: ask an agent's tool something."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["call"]


def call(
    tool: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A tool, as explain_last_signal, or a model, as infer.tactical."
        ),
    ] = None,
    arguments: Annotated[
        str, typer.Argument(metavar="ARGUMENTS", help='JSON object: \'{"symbol": "EURUSD"}\'.')
    ] = "{}",
    list_tools: Annotated[
        bool, typer.Option("--list", help="List the tools and models of all live agents.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Deadline of the call.")
    ] = None,
    request_id: Annotated[
        str,
        typer.Option(
            "--request-id", metavar="ID", help="Call once: the same call again gets its answer."
        ),
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Call a tool or a model and print its answer; --list shows which there are."""
    from bellwire.cli.calling import call_one, list_all, parse_arguments
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.session import read_target, run_async

    if list_tools == (tool is not None):
        raise UsageFault("give either a name or --list")
    if timeout is not None and not 0 < timeout <= 3600:
        raise UsageFault(f"--timeout is {timeout:g}; expected seconds above 0, at most 3600")
    parsed = parse_arguments(arguments)
    target = read_target(address, config, assignments)
    seconds = timeout or target.command.call_timeout_seconds
    if tool is None:
        run_async(lambda: list_all(target, as_json=json))
    else:
        run_async(lambda: call_one(target, tool, parsed, seconds, request_id, as_json=json))
