"""`bellwire doctor`: examine a data folder or a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import JsonOption

__all__ = ["doctor"]


def doctor(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Data folder of a coordinator, or a backup.")
    ],
    json: JsonOption = False,
) -> int:
    """Examine a store, running or not, and change nothing; exit code 1 when something is lost or wrong."""
    from bellwire.cli.examining import examine_store

    return examine_store(data, as_json=json)
