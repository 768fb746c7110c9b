"""`bellwire train`: make the models that agents trade on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["app"]

app = typer.Typer(help="Train the models that agents trade on.", no_args_is_help=True)

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Folder for model, card, checkpoint; one named as a number is that version.",
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", metavar="DIR", help="Folder of models; gets its next version."),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DATA",
        help="OHLCV file, eurusd-1h (default), ibm-1d or synthetic; may be repeated.",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--from-store", metavar="DIR", help="Folder that `bellwire sink` writes, for --data."
    ),
]
TopicOption = Annotated[
    str | None,
    typer.Option("--topic", "-t", metavar="TOPIC", help="Of the store; default bars.1h."),
]
SymbolOption = Annotated[
    list[str] | None,
    typer.Option("--symbol", metavar="SYMBOL", help="Of the topic; may be repeated; default all."),
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", "-n", min=1, help="Bars played; default 1,000,000.")
]
FeeOption = Annotated[
    float | None, typer.Option("--fee-bp", min=0.0, help="Fee on the value traded; default 0.2.")
]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal weights.")
]
FoldsOption = Annotated[
    int | None,
    typer.Option(min=1, max=20, help="Test blocks, each trained on what came before; default 1."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")
]


@app.command("tactical")
def tactical(
    out: OutOption = None,
    models: ModelsOption = None,
    data: DataOption = None,
    from_store: StoreOption = None,
    topic: TopicOption = None,
    symbol: SymbolOption = None,
    steps: StepsOption = None,
    fee_bp: FeeOption = None,
    seed: SeedOption = 0,
    folds: FoldsOption = None,
    variant: Annotated[str, typer.Option(help="Network: tiny or hidden-128.")] = "tiny",
    resume: ResumeOption = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Train on the first 70 % of the bars, test on the rest, and write an honest model card.

    For example: bellwire train tactical --data bars.csv --fee-bp 1 --out mine/tactical/1
    """
    from bellwire.cli.training import BarsFlags, SettingsFlags, TrainFlags, place_of, run_training

    bars = BarsFlags(tuple(data or ()), from_store, topic, tuple(symbol or ()))
    place = place_of(out, models, resume=resume)
    settings = SettingsFlags(config, tuple(assignments or ()), folds)
    flags = TrainFlags(bars, place, steps, fee_bp, variant, settings=settings)
    return run_training(flags, seed=seed, resume=resume, as_json=json)


@app.command("strategic")
def strategic(
    out: OutOption = None,
    models: ModelsOption = None,
    data: DataOption = None,
    from_store: StoreOption = None,
    topic: TopicOption = None,
    symbol: SymbolOption = None,
    steps: StepsOption = None,
    fee_bp: FeeOption = None,
    seed: SeedOption = 0,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Train the slower system the same way: three networks on 13 numbers of the last 81 closes.

    For example: bellwire train strategic --data bars.csv --set train.learning_rate=0.001 --out slow/strategic/1
    """
    from bellwire.cli.training import BarsFlags, SettingsFlags, TrainFlags, place_of, run_training

    bars = BarsFlags(tuple(data or ()), from_store, topic, tuple(symbol or ()))
    place = place_of(out, models, resume=resume, model="strategic")
    settings = SettingsFlags(config, tuple(assignments or ()), folds)
    flags = TrainFlags(bars, place, steps, fee_bp, settings=settings, model="strategic")
    return run_training(flags, seed=seed, resume=resume, as_json=json)
