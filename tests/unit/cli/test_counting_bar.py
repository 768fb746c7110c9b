"""The bar of commands that count."""

from __future__ import annotations

import io

from rich.console import Console

from bellwire.cli.counting_bar import counting_bar


def shown(*, is_terminal: bool) -> str:
    out = Console(file=io.StringIO(), force_terminal=is_terminal, width=100, color_system=None)
    progress = counting_bar("bars", out)
    task = progress.add_task("playing", total=2_000, note="")
    progress.update(task, completed=1_500, note="740/s")
    with out.capture() as capture:
        out.print(progress.get_renderable())
    assert progress.disable is not is_terminal
    return capture.get()


def test_it_counts_in_its_unit_with_the_note_beside() -> None:
    text = shown(is_terminal=True)
    assert "playing" in text
    assert "1,500/2,000 bars 740/s" in text


def test_where_there_is_no_terminal_it_is_switched_off() -> None:
    shown(is_terminal=False)
