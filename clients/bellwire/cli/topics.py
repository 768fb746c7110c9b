"""`bellwire topics`: what topics there are, and what happens in them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["app"]

app = typer.Typer(help="List, create and look into topics.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Topic.")]


class Overflow(StrEnum):
    """What happens when a subscriber cannot keep up."""

    BLOCK = "block"
    """Publishers wait."""
    DROP_OLDEST = "drop-oldest"
    """The oldest undelivered messages are dropped and counted."""
    CONFLATE = "conflate"
    """Only the latest message of each key is kept."""
    DISCONNECT = "disconnect"
    """The subscriber's stream is ended."""


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
    retention_messages: Annotated[
        int, typer.Option(min=0, help="Kept per partition; 0 = the server's default.")
    ] = 0,
    retention_bytes: Annotated[
        int, typer.Option(min=0, help="Kept per partition, as stored; 0 = the server's default.")
    ] = 0,
    overflow: Annotated[
        Overflow | None, typer.Option(help="When a subscriber cannot keep up.")
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Create a topic; the same settings again are no error, others are refused."""
    from bellwire.admin.v1.topic_pb2 import Topic
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_view import create_topic, overflow_policy

    topic = Topic(
        name=name,
        partition_count=partitions,
        retention_messages=retention_messages,
        retention_bytes=retention_bytes,
        overflow_policy=overflow_policy(overflow),
    )
    target = read_target(address, config, assignments)
    run_async(lambda: create_topic(target, topic, as_json=json))


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
    """Show the counters, partitions and subscriptions of a topic."""
    from bellwire.cli.session import read_target, run_async
    from bellwire.cli.topic_view import show_stats

    target = read_target(address, config, assignments)
    run_async(lambda: show_stats(target, name, as_json=json))
