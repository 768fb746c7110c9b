"""`bellwire query`: ask the analytic store with SQL."""

from __future__ import annotations

from typing import Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["query"]


def query(
    sql: Annotated[
        str,
        typer.Argument(
            metavar="SQL", help="One SELECT; tables are messages, topics and payload types."
        ),
    ],
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="DIR", help="Folder that `bellwire sink` writes."),
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", "-n", min=1, help="Print at most so many rows.")
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", metavar="", help="Print CSV with a header line.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Print what a query gives; it reads only, within bounds, while a sink writes or not.

    For example: bellwire query "select source, count(*) from signals.tactical group by all"
    """
    from pathlib import Path

    from bellwire.cli.answering import Form, print_answer
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.settings import Request, load_settings
    from bellwire.sink.settings import QuerySettings, SinkSettings

    if csv and json:
        raise UsageFault("--csv and --json are both given; choose one")
    tree = load_settings(
        Request(
            config=config,
            assignments=assignments or (),
            flags={"sink.store": store, "query.rows_max": rows},
            sections=("sink", "query"),
        )
    )
    form: Form = "csv" if csv else "json" if json else "table"
    print_answer(Path(tree.of(SinkSettings).store), sql, tree.of(QuerySettings), form)
