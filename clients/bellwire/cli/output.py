"""What verbs print: rich for people, JSON lines for machines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "Style",
    "console",
    "encodable",
    "error_console",
    "harmless",
    "plain_table",
    "print_json",
]


class Style:
    """The few colours of the command: the eye goes to names and to what is wrong."""

    NAME: Final = "cyan"
    FAINT: Final = "bright_black"
    GOOD: Final = "green"
    WARN: Final = "yellow"
    BAD: Final = "red"
    TITLE: Final = "bold"


def console() -> Console:
    """Return a console on stdout."""
    from rich.console import Console

    return Console(highlight=False)


def error_console() -> Console:
    """Return a console on stderr, where progress and notices go.

    Once nobody reads them any more they go nowhere, and whoever wrote them goes on: rich would end the command.
    """
    from rich.console import Console

    class _ErrorConsole(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            with contextlib.suppress(OSError, ValueError):  # It may be no file.
                _lead_nowhere(self.file.fileno())

    return _ErrorConsole(stderr=True, highlight=False)


def _lead_nowhere(descriptor: int) -> None:
    """Let writes to a descriptor succeed from now on, those of processes started later too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)


def print_json(value: object) -> None:
    """Print one JSON value as one line and flush, so that a pipe sees it at once."""
    sys.stdout.write(encodable(json.dumps(value, ensure_ascii=False, default=str)) + "\n")
    sys.stdout.flush()


def encodable(text: str) -> str:
    r"""Return the text with lone surrogates as \\udXXX: UTF-8 has no form for them, JSON has that one."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def harmless(text: str) -> str:
    """Return foreign text that moves no cursor and colours nothing: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def plain_table(*headings: str, right: tuple[int, ...] = ()) -> Table:
    """Return a table without boxes: aligned columns under faint headings.

    Args:
        headings: Column headings.
        right: Indexes of the columns aligned to the right (numbers).
    """
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style=Style.FAINT, pad_edge=False)
    for index, heading in enumerate(headings):
        justify = "right" if index in right else "left"
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table
