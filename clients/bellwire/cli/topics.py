"""`bellwire topics`: what topics there are, and what happens in them."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption, YesOption
from bellwire.cli.topic_words import Direct, Log, Overflow, Priority

__all__ = ["app"]

app = typer.Typer(help="List, create, change, delete and look into topics.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Topic.")]
OverflowOption = Annotated[
    Overflow | None, typer.Option("--overflow", help="When a subscriber cannot keep up.")
]
PriorityOption = Annotated[
    Priority | None, typer.Option("--priority", help="Which topics go first; else signal.")
]
DirectOption = Annotated[
    Direct | None,
    typer.Option("--direct", help="Past the coordinator on the same host; else allow."),
]


@app.command("list")
def list_topics(
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="Only topics that match: 'orders.>'.")
    ] = "",
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List topics with their counters."""
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_view import show_topics

    target = read_target(address, config, assignments)
    run_async(lambda: show_topics(target, pattern, as_json=json))


@app.command()
def create(
    name: NameArgument,
    partitions: Annotated[
        int, typer.Option("--partitions", min=0, max=1024, help="0 = the server's default.")
    ] = 0,
    log: Annotated[
        Log | None, typer.Option("--log", help="Where messages are kept; else the server's way.")
    ] = None,
    retention_messages: Annotated[
        int, typer.Option(min=0, help="Kept per partition; 0 = the server's default.")
    ] = 0,
    retention_bytes: Annotated[
        int, typer.Option(min=0, help="Kept per partition, as stored; 0 = the server's default.")
    ] = 0,
    retention_seconds: Annotated[
        int, typer.Option(min=0, help="Older messages are dropped; 0 = no bound by time.")
    ] = 0,
    overflow: OverflowOption = None,
    priority: PriorityOption = None,
    direct: DirectOption = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Create a topic; the same settings again are no error, others are refused."""
    from bellwire.admin.v1.topic_pb2 import Topic
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_change import create_topic
    from bellwire.cli.topic_words import direct_policy, log_kind, overflow_policy, priority_class

    topic = Topic(
        name=name,
        partition_count=partitions,
        log=log_kind(log),
        retention_messages=retention_messages,
        retention_bytes=retention_bytes,
        retention_seconds=retention_seconds,
        overflow_policy=overflow_policy(overflow),
        priority_class=priority_class(priority),
        direct_policy=direct_policy(direct),
    )
    target = read_target(address, config, assignments)
    run_async(lambda: create_topic(target, topic, as_json=json))


@app.command()
def update(
    name: NameArgument,
    retention_messages: Annotated[
        int | None, typer.Option(min=1, help="Kept per partition from now on.")
    ] = None,
    retention_bytes: Annotated[
        int | None, typer.Option(min=1, help="Kept per partition from now on, as stored.")
    ] = None,
    retention_seconds: Annotated[
        int | None, typer.Option(min=1, help="Older messages are dropped from now on.")
    ] = None,
    overflow: OverflowOption = None,
    priority: PriorityOption = None,
    direct: DirectOption = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Change settings of a topic; what is not named stays, partitions and log cannot change."""
    from bellwire.admin.v1.topic_pb2 import Topic
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_change import update_topic
    from bellwire.cli.topic_words import direct_policy, overflow_policy, priority_class

    topic = Topic(
        name=name,
        retention_messages=retention_messages or 0,
        retention_bytes=retention_bytes or 0,
        retention_seconds=retention_seconds or 0,
        overflow_policy=overflow_policy(overflow),
        priority_class=priority_class(priority),
        direct_policy=direct_policy(direct),
    )
    target = read_target(address, config, assignments)
    run_async(lambda: update_topic(target, topic, as_json=json))


@app.command()
def delete(
    name: NameArgument,
    yes: YesOption = False,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Delete a topic with its messages and cursors; its dead letters stay. Asks before it does."""
    from bellwire.cli.session import read_target
    from bellwire.cli.topic_change import delete_topic

    delete_topic(read_target(address, config, assignments), name, sure=yes, as_json=json)


@app.command()
def describe(
    name: NameArgument,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show the settings of a topic."""
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_view import describe_topic

    target = read_target(address, config, assignments)
    run_async(lambda: describe_topic(target, name, as_json=json))


@app.command()
def stats(
    name: NameArgument,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show the counters, partitions and subscriptions of a topic, and what was dropped and why."""
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_stats_view import show_stats

    target = read_target(address, config, assignments)
    run_async(lambda: show_stats(target, name, as_json=json))
