"""`bellwire latest`: the last message of each key, as the coordinator keeps it."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["latest"]


def latest(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="One the coordinator's `cache.latest` names.")
    ],
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="As published.")],
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print the last message of each key, one line each; exit code 1 when a key has none."""
    from bellwire.cli.last_messages import print_latest
    from bellwire.cli.session import read_target

    print_latest(read_target(address, config, assignments), topic, keys, as_json=json)
