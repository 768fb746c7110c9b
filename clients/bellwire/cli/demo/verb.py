"""The `bellwire demo` verb: its flags and what they may be."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["demo"]


class Policy(StrEnum):
    """Which agent makes the signals."""

    RULES = "rules"
    TACTICAL = "tactical"


def demo(
    bars: Annotated[
        int | None, typer.Option("--bars", "-n", min=1, help="Bars to play, from the first.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Your own OHLCV file, CSV, plain or gzip."),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="EURUSD or IBM; with --data any name.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Hash seed of the agents.")] = 0,
    free_run: Annotated[
        bool, typer.Option("--free-run", help="Do not wait for each bar's orders; not repeatable.")
    ] = False,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="Empty folder for logs and traces."),
    ] = None,
    policy: Annotated[
        Policy, typer.Option("--policy", help="Who decides: a trained model, or plain rules.")
    ] = Policy.TACTICAL,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="Model of --policy tactical, not the bundled."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Play real bars through signals, risk and a paper market, each in a process of its own."""
    from bellwire.cli.demo.plan import DemoOptions
    from bellwire.cli.demo.run import DemoArguments, run_demo

    options = DemoOptions(
        lockstep=not free_run,
        seed=seed,
        config=config,
        assignments=tuple(assignments or ()),
        policy=policy.value,
        model=model,
    )
    run_demo(DemoArguments(bars, data, symbol, run_dir, options, as_json=json))
