"""A trace drawn in the terminal: who did what, when, for how long, in which process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bellwire.cli.output import Style
from bellwire.cli.units import clock_text, duration_text
from bellwire.telemetry import names

if TYPE_CHECKING:
    from bellwire.cli.span_tree import SpanTree, TreeRow

__all__ = ["bar_cells", "draw_waterfall"]

BAR_COLUMNS_MIN: Final = 14  # Below this the shape of a trace cannot be seen.
NAME_COLUMNS_MIN: Final = 20
TIME_COLUMNS: Final = len("9.99 ms")
GAP_COLUMNS: Final = 2
BLOCK: Final = "▇"
# One colour per service, in order of appearance; calm ones first.
PALETTE: Final = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")
ERROR_MARK: Final = " ✗"
ROUTE_PREFIX: Final = f"{names.ROUTE} "


def draw_waterfall(tree: SpanTree, width: int) -> RenderableType:
    """Return the waterfall of a trace for a terminal `width` columns wide."""
    return Group(_headline(tree), _table(tree, width))


def _headline(tree: SpanTree) -> Text:
    processes = f"{tree.processes} process" + ("es" if tree.processes != 1 else "")
    spans = f"{len(tree.rows)} span" + ("s" if len(tree.rows) != 1 else "")
    return Text.assemble(
        ("trace ", Style.FAINT),
        (tree.trace_id, Style.TITLE),
        (f"  {clock_text(tree.start_unix_nano)} UTC  ", Style.FAINT),
        f"{spans}, {processes}, ",
        (duration_text(tree.duration_seconds), Style.TITLE),
    )


def _table(tree: SpanTree, width: int) -> Table:
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(tree.services)}
    name_columns, columns = _columns(tree, width)
    table = Table(
        box=None, padding=(0, GAP_COLUMNS, 0, 0), header_style=Style.FAINT, pad_edge=False
    )
    table.add_column("service", no_wrap=True)
    table.add_column("pid", justify="right", no_wrap=True, style=Style.FAINT)
    table.add_column("span", no_wrap=True, overflow="ellipsis", width=name_columns)
    table.add_column("start", justify="right", width=TIME_COLUMNS, style=Style.FAINT)
    table.add_column("took", justify="right", width=TIME_COLUMNS)
    table.add_column(_scale(tree, columns), no_wrap=True, width=columns)
    for row in tree.rows:
        span = row.span
        colour = colours[span.service_name]
        offset, length = bar_cells(
            span.start_unix_nano - tree.start_unix_nano,
            span.end_unix_nano - span.start_unix_nano,
            tree.end_unix_nano - tree.start_unix_nano,
            columns,
        )
        table.add_row(
            Text(span.service_name, colour),
            str(span.process_pid or "-"),
            _name(row),
            _offset_text(span.start_unix_nano - tree.start_unix_nano),
            duration_text((span.end_unix_nano - span.start_unix_nano) / 1e9),
            Text(" " * offset + BLOCK * length, colour),
        )
    return table


def _offset_text(nanos: int) -> str:
    return duration_text(nanos / 1e9) if nanos else "0"


def _name(row: TreeRow) -> Text:
    text = Text.assemble((row.branch, Style.FAINT), row.span.name)
    if row.span.name.startswith(ROUTE_PREFIX):
        # One message is routed once to each subscription: tell them apart.
        to = row.span.attributes.get(names.CONSUMER_GROUP_NAME)
        text.append(f" → {to}" if isinstance(to, str) else "", Style.FAINT)
    if row.span.is_error:
        text.append(ERROR_MARK, Style.BAD)
    return text


def _scale(tree: SpanTree, columns: int) -> str:
    """Return the heading of the bars: where they begin and where they end."""
    end = duration_text(tree.duration_seconds)
    return f"0{end.rjust(columns - 1)}"


def bar_cells(start: int, duration: int, total: int, columns: int) -> tuple[int, int]:
    """Return (offset, length) in cells of a bar that begins at `start` of `total`, any unit.

    A bar is at least one cell and never leaves the column, however short or late it is.
    """
    if total <= 0:
        return 0, 1
    offset = min(columns - 1, start * columns // total)
    end = -(-(start + duration) * columns // total)  # rounded up
    return offset, max(1, min(columns, end) - offset)


def _columns(tree: SpanTree, width: int) -> tuple[int, int]:
    """Return the cells for span names and for bars, of what the other columns leave."""
    service = max([len("service"), *(len(row.span.service_name) for row in tree.rows)])
    pid = max([len("pid"), *(len(str(row.span.process_pid or "-")) for row in tree.rows)])
    rest = width - service - pid - 2 * TIME_COLUMNS - 5 * GAP_COLUMNS
    name = max([len("span"), *(_name(row).cell_len for row in tree.rows)])
    name = min(name, max(NAME_COLUMNS_MIN, rest - BAR_COLUMNS_MIN))
    return name, max(BAR_COLUMNS_MIN, rest - name)
