"""`bellwire serve`: run a coordinator in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption
from bellwire.cli.topic_words import Log

__all__ = ["serve"]


def serve(
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen", "-l", metavar="ADDR", help="host:port or unix:///path; may be repeated."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", metavar="DIR", help="Folder of the durable store; else all in memory."
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            "--kafka",
            metavar="HOST:PORT",
            help="Kafka that keeps durable topics, instead of --data.",
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            "--redis", metavar="URL", help="Redis of a group of coordinators, one of them active."
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Name of that group.")
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--topics",
            metavar="NAME,…",
            help="Topics or patterns of that group, may be repeated; else all no other group names.",
        ),
    ] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            "--advertise", metavar="ADDR", help="Where the group sends clients; else --listen."
        ),
    ] = None,
    default_log: Annotated[
        Log | None,
        typer.Option("--default-log", help="Log of topics created without one; else memory."),
    ] = None,
    ready_fd: Annotated[
        int | None,
        typer.Option("--ready-fd", min=3, metavar="N", help="Write one JSON line here when ready."),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option("--ready-file", metavar="FILE", help="Create this file when ready."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Run a coordinator until SIGTERM or Ctrl-C, which drain it; a second signal ends it at once."""
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.readiness import Announcement
    from bellwire.cli.serving import run_coordinator
    from bellwire.cli.settings import Request, load_settings

    if data == "":
        # An unset variable of a script; taken as a path it would be the folder it runs in.
        raise UsageFault("--data is empty; name a folder, or leave it out to keep all in memory")
    if topics and not all(each.strip(",") for each in topics):
        raise UsageFault(
            "--topics is empty; name topics, or leave it out to serve all that no other group names"
        )
    tree = load_settings(
        Request(
            config=config,
            assignments=assignments or (),
            flags={
                "coordinator.listen": tuple(listen) if listen else None,
                "coordinator.data": data,
                "coordinator.kafka": kafka,
                "coordinator.redis": redis,
                "coordinator.group": group,
                "coordinator.group_topics": tuple(filter(None, ",".join(topics).split(",")))
                if topics
                else None,
                "coordinator.advertise": advertise,
                "coordinator.default_log": None if default_log is None else default_log.value,
            },
            sections=("command", "coordinator", "cache", "telemetry"),
        )
    )
    run_coordinator(tree, Announcement(ready_fd=ready_fd, ready_file=ready_file, as_json=json))
