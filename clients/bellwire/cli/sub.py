"""`bellwire sub`: take messages and settle them."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption
from bellwire.cli.positions import POSITION_HELP

__all__ = ["sub"]


def sub(
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC…", help="Topics or patterns: * one token, > the rest."),
    ],
    subscription: Annotated[
        str, typer.Option("--subscription", "-s", metavar="NAME", help="Durable cursor.")
    ] = "",
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="POSITION",
            help=f"Where a new cursor begins: {POSITION_HELP}; else a named one at the oldest message, "
            "an unnamed one at the newest.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many messages.")
    ] = None,
    max_attempts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1_000,
            help="Of a new subscription: deliveries before a dead letter; 0 = as the coordinator is set.",
        ),
    ] = 0,
    lease: Annotated[
        str | None,
        typer.Option(
            "--lease", metavar="TIME", help="Unsettled for so long, it is delivered again: 30s."
        ),
    ] = None,
    reject: Annotated[
        str | None,
        typer.Option("--reject", metavar="REASON", help="Make dead letters of what is taken."),
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print payloads and accept them; with --subscription the cursor is shared and remembered."""
    from bellwire.cli.following import Following, follow
    from bellwire.cli.session import read_target
    from bellwire.cli.taking import check_rejection, parse_begin, parse_lease

    check_rejection(reject, subscription)
    following = Following(
        topics=tuple(topics),
        subscription=subscription,
        start=parse_begin(begin),
        count=count,
        form="payload",
        max_attempts=max_attempts,
        lease_seconds=parse_lease(lease),
        reject_reason=reject,
    )
    follow(read_target(address, config, assignments), following, as_json=json)
