"""`bellwire replay`: watch a stretch of the log again, at its own pace or faster."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption
from bellwire.cli.positions import POSITION_HELP

__all__ = ["replay"]


def replay(
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC…", help="Topics or patterns: 'signals.>' or '*.paper'."),
    ],
    begin: Annotated[
        str, typer.Option("--from", metavar="POSITION", help=f"{POSITION_HELP}.")
    ] = "earliest",
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="Stop before this message time; else at the end."
        ),
    ] = None,
    speed: Annotated[
        str,
        typer.Option("--speed", metavar="N", help="1 = original pace, 10 = ten times it, or max."),
    ] = "max",
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many messages.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print one line per message of a stretch of the log, marked as replayed; no cursor moves."""
    import time

    from bellwire.cli.moments import parse_moment
    from bellwire.cli.positions import parse_positions
    from bellwire.cli.replaying import Stretch, parse_speed, replay_stretch
    from bellwire.cli.session import read_target, run_async

    now_ns = time.time_ns()
    stretch = Stretch(
        topics=tuple(topics),
        start=parse_positions(begin.split(","), now_ns),
        until_ns=0 if until is None else parse_moment(until, now_ns, "--until"),
        speed=parse_speed(speed),
        count=count,
    )
    target = read_target(address, config, assignments)
    run_async(lambda: replay_stretch(target, stretch, as_json=json))
