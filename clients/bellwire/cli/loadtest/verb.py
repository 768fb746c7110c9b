"""The `bellwire loadtest` verb: its flags and what they may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.loadtest.ack import LoadAck
from bellwire.cli.options import ConfigOption, JsonOption, SetOption
from bellwire.cli.topic_words import Overflow

__all__ = ["loadtest"]


def loadtest(
    tps: Annotated[
        str | None,
        typer.Option(
            "--tps",
            metavar="N,N,…",
            help="Messages per second offered, level after level: 1000,5000,50k.",
        ),
    ] = None,
    seconds: Annotated[
        str | None,
        typer.Option("--seconds", metavar="TIME", help="Length of each level; else 30 s."),
    ] = None,
    publishers: Annotated[
        int, typer.Option("--publishers", "-P", min=1, max=64, help="Processes that publish.")
    ] = 1,
    subscribers: Annotated[
        int,
        typer.Option(
            "--subscribers", "-S", min=1, max=64, help="Processes that each receive everything."
        ),
    ] = 1,
    size: Annotated[
        str, typer.Option("--size", metavar="BYTES", help="Of a payload: 200, 4KiB.")
    ] = "200",
    ack: Annotated[
        LoadAck, typer.Option("--ack", help="How far a message must have come.")
    ] = LoadAck.RECEIVED,
    topic: Annotated[
        str | None,
        typer.Option("--topic", metavar="NAME", help="Else one of its own, deleted afterwards."),
    ] = None,
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, max=1024, help="Of a topic that it creates.")
    ] = 1,
    overflow: Annotated[
        Overflow | None,
        typer.Option("--overflow", help="When a subscriber cannot keep up; else the topic's way."),
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option(
            "--limits",
            metavar="NAME=VALUE,…",
            help="p50 p95 p99 p99.9 max loss duplicates out-of-order rss tps, for example "
            "p99=20ms,loss=0,rss=300MB; else tps=95%,loss=0,rss=300MB.",
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay", metavar="FILE", help="Play a recording: the lines of `tail --json`."
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="N", help="Multiple of the recording's pace: 2x; else 1x."),
    ] = None,
    soak: Annotated[
        str | None,
        typer.Option(
            "--soak", metavar="TIME", help="One level for so long; does memory grow? 30m."
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            "--address",
            "-a",
            metavar="ADDR",
            help="Coordinator: host:port or unix:///path; else one of its own.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of its own coordinator's store; else temporary."
        ),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Offer load by a fixed schedule, level after level; say what arrived, how late, and what was in the way."""
    from bellwire.cli.loadtest.arguments import LoadArguments, plan_load
    from bellwire.cli.loadtest.run import run_loadtest

    plan = plan_load(
        LoadArguments(
            tps=tps,
            seconds=seconds,
            publishers=publishers,
            subscribers=subscribers,
            size=size,
            ack=ack,
            topic=topic,
            partitions=partitions,
            overflow=overflow,
            limits=limits,
            replay=replay,
            rate=rate,
            soak=soak,
            server=server,
            data=data,
            config=config,
            assignments=tuple(assignments or ()),
        )
    )
    status = run_loadtest(plan, as_json=json)
    if status:
        raise typer.Exit(status)
