"""`bellwire model`: the files that agents infer with, and how they come into service."""

from __future__ import annotations

import typer

from bellwire.cli import rollout
from bellwire.cli.model_serve import serve

__all__ = ["app"]

app = typer.Typer(help="Serve models, and bring new versions into service.", no_args_is_help=True)
app.command()(serve)
app.add_typer(rollout.app, name="rollout")
