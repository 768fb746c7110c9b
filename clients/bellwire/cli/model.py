"""`bellwire model`: the files that agents infer with, smaller versions of them, and how they come into service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli import rollout
from bellwire.cli.model_serve import serve
from bellwire.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["app"]

app = typer.Typer(
    help="Serve models, bring new versions into service, quantize them and look into them.",
    no_args_is_help=True,
)
app.command()(serve)
app.add_typer(rollout.app, name="rollout")

FolderArgument = Annotated[
    Path,
    typer.Argument(metavar="MODEL_FOLDER", help="One version: the folder that holds model.json."),
]


@app.command()
def quantize(
    folder: FolderArgument,
    method: Annotated[
        str,
        typer.Option(
            "--method", "-m", metavar="METHOD", help="int8-static, int8-dynamic or int4-weights."
        ),
    ],
    calibrate: Annotated[
        str,
        typer.Option(
            "--calibrate",
            "-c",
            metavar="DATA",
            help="OHLCV file, eurusd-1h, ibm-1d, synthetic, or .npz with `observation` (and `position`).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder of models; gets <name>/<next version>."
        ),
    ],
    held_out: Annotated[
        str,
        typer.Option(
            "--held-out",
            metavar="BARS",
            help="Bars for the gate, less those trained on; else the newest of DATA, as in training.",
        ),
    ] = "",
    fee_bp: Annotated[
        float | None,
        typer.Option(
            "--fee-bp", min=0.0, help="Fee on the value traded; default: what it was trained with."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal models; default 0."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Write a quantized version and compare it with its parent; exit code 1 when its gate failed.

    What failed is written too, for a look at it, and refused by whatever loads models.

    For example: bellwire model quantize models/tactical/1 -m int8-static -c bars.csv -o models
    """
    from bellwire.cli.quantizing import SECTIONS, QuantizeFlags, run_quantize
    from bellwire.cli.settings import Request

    given = {"gate.fee_bp": fee_bp, "quantize.seed": seed}
    request = Request(config, assignments or (), given, SECTIONS)
    flags = QuantizeFlags(folder, method, calibrate, out, held_out)
    return run_quantize(flags, request, as_json=json)


@app.command()
def show(folder: FolderArgument, json: JsonOption = False) -> None:
    """Show a version: its tensors, where it comes from, what its gate measured."""
    from bellwire.cli.model_view import show_model

    show_model(folder, as_json=json)


@app.command("list")
def list_models(
    models: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of models: <name>/<version>/model.json.")
    ] = Path("models"),
    json: JsonOption = False,
) -> None:
    """List versions, and which of them may be served: each is loaded, unless that takes long."""
    from bellwire.cli.model_view import list_versions

    list_versions(models, as_json=json)
