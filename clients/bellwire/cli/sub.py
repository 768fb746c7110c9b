"""`bellwire sub`: take messages and settle them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["Begin", "sub"]


class Begin(StrEnum):
    """Where a new cursor begins."""

    EARLIEST = "earliest"
    """The oldest message kept."""
    LATEST = "latest"
    """Only what is published from now on."""


def sub(
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC…", help="Topics or patterns: * one token, > the rest."),
    ],
    subscription: Annotated[
        str, typer.Option("--subscription", "-s", metavar="NAME", help="Durable cursor.")
    ] = "",
    begin: Annotated[
        Begin | None, typer.Option("--from", help="Where a new cursor begins.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many messages.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print payloads and accept them; with --subscription the cursor is shared and remembered."""
    from bellwire.cli.following import Following, follow
    from bellwire.cli.session import read_target

    following = Following(
        topics=tuple(topics), subscription=subscription, begin=begin, count=count, form="payload"
    )
    follow(read_target(address, config, assignments), following, as_json=json)
