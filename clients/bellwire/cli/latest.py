"""`bellwire latest`: the last message of each key, as the coordinator keeps it."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["latest"]

KEYS_MAX = 1_000  # Of one answer, as the contract has it.


def latest(
    topic: Annotated[
        str,
        typer.Argument(metavar="TOPIC", help="One that the coordinator's `cache.latest` names."),
    ],
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY…", help="As published; else those published last."),
    ] = None,
    count: Annotated[
        int,
        typer.Option("--count", "-n", min=1, max=KEYS_MAX, help="Without KEY: so many keys."),
    ] = 100,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print the last message of each key, as `tail` prints it; exit code 1 when a KEY has none."""
    from bellwire.cli.last_messages import print_latest
    from bellwire.cli.session import read_target

    print_latest(read_target(address, config, assignments), topic, keys or (), count, as_json=json)
