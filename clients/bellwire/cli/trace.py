"""`bellwire trace`: draw one trace from the OTLP-JSON files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["trace"]


def trace(
    trace_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Trace id, or the first 4 digits of it.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The trace that began last.")] = False,
    containing: Annotated[
        str, typer.Option(metavar="TEXT", help="With --last: only traces with such a span name.")
    ] = "",
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Default: telemetry.trace_dir, else the last demo's."
        ),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Draw the waterfall of a trace: spans, processes, durations."""
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.output import console, print_json
    from bellwire.cli.span_tree import span_tree
    from bellwire.cli.trace_choice import find_last, find_trace, trace_json
    from bellwire.cli.waterfall import draw_waterfall

    if (trace_id is None) == (not last):
        raise UsageFault("give either a trace id or --last")
    if containing and not last:
        raise UsageFault("--containing goes with --last")
    folder = directory or _usual_directory(config, assignments)
    spans = find_trace(folder, trace_id) if trace_id else find_last(folder, containing)
    tree = span_tree(spans)
    if json:
        print_json(trace_json(tree))
        return
    out = console()
    out.print(draw_waterfall(tree, out.width))


def _usual_directory(config: ConfigOption, assignments: SetOption) -> Path:
    """Return telemetry.trace_dir, or where the last demo left its traces."""
    from bellwire.cli.demo.run_directory import last_run
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.settings import Request, load_settings
    from bellwire.telemetry import TelemetrySettings

    tree = load_settings(
        Request(config=config, assignments=assignments or (), sections=("telemetry",))
    )
    if configured := tree.of(TelemetrySettings).trace_dir:
        return Path(configured)
    if run := last_run():
        return run.traces
    raise UsageFault("telemetry.trace_dir is not set and no demo has run; name traces with --dir")
