"""`bellwire restore`: make a data folder of a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bellwire.cli.options import JsonOption

__all__ = ["restore"]


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="File written by backup.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Data folder to make; it must hold no store yet.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Move what the folder holds aside, into it.")
    ] = False,
    keep_log_ids: Annotated[
        bool,
        typer.Option(
            "--keep-log-ids", help="Only when nothing was published since: clients go on in place."
        ),
    ] = False,
    json: JsonOption = False,
) -> int:
    """Make a data folder of a backup, which is examined and stays as it is."""
    from bellwire.cli.copying import restore_to

    return restore_to(backup, data, force=force, keep_log_ids=keep_log_ids, as_json=json)
