"""`bellwire seek`: move the cursor of a subscription."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption
from bellwire.cli.positions import POSITION_HELP

__all__ = ["seek"]


def seek(
    subscription: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its name.")],
    positions: Annotated[
        list[str],
        typer.Argument(metavar="POSITION…", help=f"{POSITION_HELP}; -15m is a time."),
    ],
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="TOPIC", help="Only in this topic; may be repeated."),
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Have a subscription read on elsewhere: earlier to read again, later to skip."""
    import time

    from bellwire.cli.positions import parse_positions
    from bellwire.cli.seeking import seek_to
    from bellwire.cli.session import read_target, run_async

    position = parse_positions(positions, time.time_ns())
    target = read_target(address, config, assignments)
    run_async(lambda: seek_to(target, subscription, position, topics or (), as_json=json))
