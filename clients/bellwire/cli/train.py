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
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for model, card, checkpoint; one named as a number is that version.",
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models", metavar="DIR", help="Folder of models; gets tactical/<next version>."
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="OHLCV file, eurusd-1h (default), ibm-1d or synthetic; may be repeated.",
        ),
    ] = None,
    from_store: Annotated[
        Path | None,
        typer.Option(
            "--from-store", metavar="DIR", help="Folder that `bellwire sink` writes, for --data."
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option("--topic", "-t", metavar="TOPIC", help="Of the store; default bars.1h."),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol", metavar="SYMBOL", help="Of the topic; may be repeated; default all."
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
    from bellwire.cli.training import BarsFlags, TrainFlags, place_of, run_training

    bars = BarsFlags(tuple(data or ()), from_store, topic, tuple(symbol or ()))
    place = place_of(out, models, resume=resume)
    flags = TrainFlags(bars, place, steps, fee_bp, variant)
    return run_training(flags, seed=seed, folds=folds, resume=resume, as_json=json)
