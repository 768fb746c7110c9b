"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AddressOption", "ConfigOption", "JsonOption", "SetOption", "YesOption"]

JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Print JSON, one object a line, nothing else on stdout."
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file; default ./bellwire.toml."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting: --set client.x=1."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        "-a",
        metavar="ADDR",
        help="Coordinator: host:port or unix:///path; of a group several, with commas.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
