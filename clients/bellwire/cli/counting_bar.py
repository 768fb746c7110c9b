"""The progress bar of commands that count: bars played, steps made."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bellwire.cli.output import Style

__all__ = ["counting_bar"]


def counting_bar(unit: str, console: Console) -> Progress:
    """Return a bar that says how many of `unit` are done, a `note` of the task, and how long it takes yet.

    Where the console is no terminal it shows nothing: whoever counts writes lines there. Every task has the
    field `note`.
    """
    return Progress(
        TextColumn("{task.description}", style=Style.FAINT),
        BarColumn(bar_width=None, complete_style=Style.NAME, finished_style=Style.GOOD),
        TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}"),
        TextColumn("{task.fields[note]}", style=Style.FAINT),
        TaskProgressColumn(show_speed=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
