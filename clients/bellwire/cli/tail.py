"""`bellwire tail`: watch messages go by, decoded, without taking part."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption
from bellwire.cli.positions import POSITION_HELP

__all__ = ["tail"]


def tail(
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC…", help="Topics or patterns: 'signals.>' or '*.paper'."),
    ],
    begin: Annotated[
        str, typer.Option("--from", metavar="POSITION", help=f"Where to begin: {POSITION_HELP}.")
    ] = "latest",
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many messages.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print one line per message: time, place, key, type and what it says."""
    from bellwire.cli.following import Following, follow
    from bellwire.cli.session import read_target
    from bellwire.cli.taking import parse_begin

    following = Following(
        topics=tuple(topics), subscription="", start=parse_begin(begin), count=count, form="line"
    )
    follow(read_target(address, config, assignments), following, as_json=json)
