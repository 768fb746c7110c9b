"""`bellwire bridge`: mirror topics between the bus and Kafka."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["bridge"]


def bridge(
    out_topics: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            metavar="TOPIC[=KAFKA_TOPIC]",
            help="Bus to Kafka: a topic or a pattern; may be repeated.",
        ),
    ] = None,
    out_prefix: Annotated[
        str | None,
        typer.Option(
            "--out-prefix", metavar="TEXT", help="Before names in Kafka that no --out gives."
        ),
    ] = None,
    in_topics: Annotated[
        list[str] | None,
        typer.Option("--in", metavar="KAFKA_TOPIC[=TOPIC]", help="Kafka to bus; may be repeated."),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Brokers, comma between.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Of its cursors on both sides; another begins anew."
        ),
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Mirror topics to Kafka and back until SIGTERM or Ctrl-C; a second signal ends it at once."""
    from bellwire.cli.bridging import run_until_stopped
    from bellwire.cli.settings import Request, load_settings

    tree = load_settings(
        Request(
            config=config,
            assignments=assignments or (),
            flags={
                "command.address": address,
                "bridge.kafka": kafka,
                "bridge.name": name,
                "bridge.out_topics": tuple(out_topics) if out_topics else None,
                "bridge.out_prefix": out_prefix,
                "bridge.in_topics": tuple(in_topics) if in_topics else None,
            },
            sections=("command", "client", "bridge"),
        )
    )
    run_until_stopped(tree, as_json=json)
