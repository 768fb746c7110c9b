"""`bellwire sink`: keep what goes over the bus as Parquet files, or in a BigQuery table."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import AddressOption, ConfigOption, JsonOption, SetOption

__all__ = ["sink"]


def sink(
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TOPIC…]", help="Topics or patterns to keep; else the setting."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="DIR", help="Folder of the Parquet files; made if absent."),
    ] = None,
    bigquery: Annotated[
        str | None,
        typer.Option(
            "--bigquery",
            metavar="PROJECT.DATASET.TABLE",
            help="Append to this table instead; it must exist.",
        ),
    ] = None,
    bigquery_endpoint: Annotated[
        str | None,
        typer.Option(
            "--bigquery-endpoint",
            metavar="HOST:PORT",
            help="Another write service than Google's, without TLS and credentials.",
        ),
    ] = None,
    subscription: Annotated[
        str | None,
        typer.Option("--subscription", "-s", metavar="NAME", help="Named cursor of the sink."),
    ] = None,
    address: AddressOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Write topics to an analytic store until SIGTERM or Ctrl-C, which write what waits; ask it with `query`."""
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.settings import CommandSettings, Request, load_settings
    from bellwire.cli.sinking import SinkPlan, run_sink
    from bellwire.client import ClientSettings
    from bellwire.sink.settings import SinkSettings

    if store == "":
        raise UsageFault("--store is empty; name a folder, or leave it out to use the setting")
    tree = load_settings(
        Request(
            config=config,
            assignments=assignments or (),
            flags={
                "command.address": address,
                "sink.topics": tuple(topics) if topics else None,
                "sink.store": store,
                "sink.bigquery": bigquery,
                "sink.bigquery_endpoint": bigquery_endpoint,
                "sink.subscription": subscription,
            },
            sections=("command", "client", "sink"),
        )
    )
    run_sink(
        SinkPlan(tree.of(CommandSettings).address, tree.of(ClientSettings), tree.of(SinkSettings)),
        as_json=json,
    )
