"""`bellwire backup`: copy a store while its coordinator goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import JsonOption

__all__ = ["backup"]


def backup(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Data folder of a coordinator.")],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="File to write; it must not exist yet.")
    ],
    json: JsonOption = False,
) -> int:
    """Copy a store into one file, as it is at one moment; its coordinator may run meanwhile.

    Exit code 1 when what was copied is damaged: it may be all there is, so it is kept.
    """
    from bellwire.cli.copying import back_up

    return back_up(data, target, as_json=json)
