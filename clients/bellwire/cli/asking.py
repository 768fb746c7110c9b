"""Ask before something is deleted for good."""

from __future__ import annotations

import sys

from bellwire.cli.faults import CommandError, UsageFault

__all__ = ["check_somebody_is_there", "confirm"]


def check_somebody_is_there(hint: str = "") -> None:
    """Check that a question could be answered, before anything is counted for it.

    Raises:
        UsageFault: Standard input is no terminal; `hint` is another way than --yes.
    """
    if not sys.stdin.isatty():
        raise UsageFault(f"this deletes for good: give --yes{hint}")


def confirm(what: str) -> None:
    """Ask whether to delete it; to be called outside the event loop, so that Ctrl-C answers too.

    Raises:
        CommandError: The answer was no.
    """
    import typer

    if not typer.confirm(f"delete {what} for good?", err=True):
        raise CommandError("nothing was deleted")
