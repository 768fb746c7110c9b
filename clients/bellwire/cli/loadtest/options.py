"""The flags of `bellwire loadtest`: what each is called, takes and means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.loadtest.ack import LoadAck
from bellwire.cli.topic_words import Overflow

__all__ = [
    "AckOption",
    "DataOption",
    "LimitsOption",
    "OverflowOption",
    "PartitionsOption",
    "PublishersOption",
    "RateOption",
    "ReplayOption",
    "SecondsOption",
    "ServerOption",
    "SizeOption",
    "SoakOption",
    "SubscribersOption",
    "TopicOption",
    "TpsOption",
]

TpsOption = Annotated[
    str | None,
    typer.Option(
        "--tps",
        metavar="N,N,…",
        help="Messages per second offered, level after level: 1000,5000,50k.",
    ),
]
SecondsOption = Annotated[
    str | None,
    typer.Option("--seconds", metavar="TIME", help="Length of each level; else 30 s."),
]
PublishersOption = Annotated[
    int, typer.Option("--publishers", "-P", min=1, max=64, help="Processes that publish.")
]
SubscribersOption = Annotated[
    int,
    typer.Option(
        "--subscribers", "-S", min=1, max=64, help="Processes that each receive everything."
    ),
]
SizeOption = Annotated[
    str, typer.Option("--size", metavar="BYTES", help="Of a payload: 200, 4KiB.")
]
AckOption = Annotated[LoadAck, typer.Option("--ack", help="How far a message must have come.")]
TopicOption = Annotated[
    str | None,
    typer.Option("--topic", metavar="NAME", help="Else one of its own, deleted afterwards."),
]
PartitionsOption = Annotated[
    int, typer.Option("--partitions", min=1, max=1024, help="Of a topic that it creates.")
]
OverflowOption = Annotated[
    Overflow | None,
    typer.Option("--overflow", help="When a subscriber cannot keep up; else the topic's way."),
]
LimitsOption = Annotated[
    str | None,
    typer.Option(
        "--limits",
        metavar="NAME=VALUE,…",
        help="p50 p95 p99 p99.9 max loss duplicates out-of-order rss tps, for example "
        "p99=20ms,loss=0,rss=300MB; else tps=95%,loss=0,rss=300MB.",
    ),
]
ReplayOption = Annotated[
    Path | None,
    typer.Option("--replay", metavar="FILE", help="Play a recording: the lines of `tail --json`."),
]
RateOption = Annotated[
    str | None,
    typer.Option("--rate", metavar="N", help="Multiple of the recording's pace: 2x; else 1x."),
]
SoakOption = Annotated[
    str | None,
    typer.Option("--soak", metavar="TIME", help="One level for so long; does memory grow? 30m."),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        "--address",
        "-a",
        metavar="ADDR",
        help="Coordinator: host:port or unix:///path; else one of its own.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of its own coordinator's store; else temporary."
    ),
]
