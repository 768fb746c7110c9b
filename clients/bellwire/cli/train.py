"""`bellwire train`: make the models that agents trade on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import JsonOption

__all__ = ["app"]

app = typer.Typer(help="Train the models that agents trade on.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `tactical` a verb of its own: Typer folds a group with a single command."""


@app.command("tactical")
def tactical(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for weights, card, checkpoint."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="OHLCV file, eurusd-1h (default), ibm-1d or synthetic; may be repeated.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Bars played; default 1,000,000.")
    ] = None,
    fee_bp: Annotated[
        float | None,
        typer.Option("--fee-bp", min=0.0, help="Fee on the value traded; default 0.2."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal weights.")
    ] = 0,
    folds: Annotated[
        int, typer.Option(min=1, max=20, help="Test blocks, each trained on what came before.")
    ] = 1,
    variant: Annotated[str, typer.Option(help="Network: tiny or hidden-128.")] = "tiny",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Train on the first 70 % of the bars, test on the rest, and write an honest model card.

    For example: bellwire train tactical --data bars.csv --fee-bp 1 --out models/mine
    """
    from bellwire.cli.training import TrainFlags, run_training

    flags = TrainFlags(tuple(data or ("eurusd-1h",)), out, steps, fee_bp, variant)
    return run_training(flags, seed=seed, folds=folds, resume=resume, as_json=json)
