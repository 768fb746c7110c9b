"""Plots of a result as SVG: percentiles and throughput by system, latency by load. No I/O."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from tests.benchmarks import svg
from tests.benchmarks.axis import LogAxis, duration, rate
from tests.benchmarks.scenario import SCENARIOS, Latency, Levels, Throughput
from tests.benchmarks.summary import Document, LatencyFigures, Row, summarise
from tests.benchmarks.tables import title_of

WIDTH: Final = 800
LEFT: Final = 170  # Room for the longest name of a system.
RIGHT: Final = 665  # Behind it, figures.
TOP: Final = 62
ROW_HEIGHT: Final = 30
BAR_HEIGHT: Final = 16
LEVELS_HEIGHT: Final = 300
LEVELS_LEFT: Final = 80  # Room for a duration.
LEVELS_RIGHT: Final = 630  # Behind it, the names of the lines.
LABEL_GAP: Final = 15  # Between two labels at the ends of lines.
OURS: Final = "bellwire"
# By order of appearance; more systems than that would be a table, not a plot.
LINE_KINDS: Final = ("theirs", "second", "ours", "theirs", "second", "ours")


def plots_of(document: Document) -> dict[str, str]:
    """Give an SVG image for each scenario that has something to show."""
    summary = summarise(document)
    plots = {}
    for name, scenario in SCENARIOS.items():
        rows = [row for row in summary.get(name, ()) if row.rounds]
        if not rows:
            continue
        if isinstance(scenario, Latency):
            plots[name] = _latency_plot(scenario.title, rows)
        elif isinstance(scenario, Throughput):
            plots[name] = _throughput_plot(scenario.title, rows)
        elif isinstance(scenario, Levels):
            plots[name] = _levels_plot(scenario.title, rows)
    return plots


def _latency_plot(title: str, rows: list[Row]) -> str:
    shown = [value for row in rows if not row.saturated for value in _percentiles(row)]
    axis = LogAxis.over(shown or [1, 1_000], LEFT, RIGHT)
    height = TOP + ROW_HEIGHT * len(rows) + 40
    body = [
        *_title(title, "● p50 · ○ p95 · ┃ p99 · ─ up to p99.9; log scale"),
        *_vertical_grid(axis, height),
    ]
    for number, row in enumerate(rows):
        body += _latency_row(row, axis, TOP + ROW_HEIGHT * (number + 0.5))
    return svg.page(WIDTH, height, title, body)


def _latency_row(row: Row, axis: LogAxis, y: float) -> Iterator[str]:
    yield _name(row, y)
    if row.saturated:
        words = f"saturated: took {rate(row.taken_per_second)} messages/s"
        yield svg.text(LEFT + 8, y + 4, words, "warn")
        return
    kind = _kind(row)
    p50, p95, p99, p999 = map(axis.place, _percentiles(row))
    yield svg.line(p50, y, p999, y, f"{kind} line")
    yield svg.line(p99, y - 7, p99, y + 7, f"{kind} thick")
    yield svg.dot(p95, y, 5, f"{kind} hollow")
    yield svg.dot(p50, y, 6, kind)
    figures = _figures(row)
    label = f"{duration(figures.p50.median)} / {duration(figures.p99.median)}"
    yield svg.text(WIDTH - 10, y + 4, label, "quiet end")


def _throughput_plot(title: str, rows: list[Row]) -> str:
    medians = [row.spread.median if row.spread else 0.0 for row in rows]
    most = max(medians) or 1.0
    height = TOP + ROW_HEIGHT * len(rows) + 12
    body = _title(title, "messages per second, end to end; thin line: least to most of the rounds")
    for number, (row, median) in enumerate(zip(rows, medians, strict=True)):
        y = TOP + ROW_HEIGHT * (number + 0.5)
        width = (RIGHT - LEFT) * median / most
        body += [
            _name(row, y),
            svg.bar(LEFT, y - BAR_HEIGHT / 2, width, BAR_HEIGHT, _kind(row)),
        ]
        if row.spread and row.spread.high > row.spread.low:
            ends = [LEFT + (RIGHT - LEFT) * min(v / most, 1.1) for v in row.spread[1:]]
            body.append(svg.line(ends[0], y, ends[1], y, "ink"))
        body.append(svg.text(WIDTH - 10, y + 4, f"{rate(median)}/s", "strong end"))
    return svg.page(WIDTH, height, title, body)


def _levels_plot(title: str, rows: list[Row]) -> str:
    bottom = TOP + LEVELS_HEIGHT
    offered = LogAxis.over([int(row.variant) for row in rows], LEVELS_LEFT, LEVELS_RIGHT)
    times = LogAxis.over(
        [value for row in rows for value in (_percentiles(row)[0], _percentiles(row)[2])],
        bottom,
        TOP,
    )
    body = _title(title, "solid: p50, dashes: p99, hollow: saturated; both scales logarithmic")
    for value, labelled in times.ticks():
        y = times.place(value)
        body.append(svg.line(LEVELS_LEFT, y, LEVELS_RIGHT, y, "grid"))
        if labelled:
            body.append(svg.text(LEVELS_LEFT - 8, y + 4, duration(value), "quiet end"))
    for level in sorted({int(row.variant) for row in rows}):
        x = offered.place(level)
        body.append(svg.text(x, bottom + 20, f"{rate(level)}/s", "quiet middle"))
    body += _level_lines(rows, offered, times)
    return svg.page(WIDTH, bottom + 36, title, body)


def _level_lines(rows: list[Row], offered: LogAxis, times: LogAxis) -> Iterator[str]:
    ends = []
    for (peer, found), kind in zip(groupby(rows, lambda row: row.peer), LINE_KINDS, strict=False):
        levels = sorted(found, key=lambda row: int(row.variant))
        for percentile, dashes in ((0, ""), (2, " dash")):
            points = [
                (offered.place(int(row.variant)), times.place(_percentiles(row)[percentile]))
                for row in levels
            ]
            yield svg.path(points, kind + dashes)
            for (x, y), row in zip(points, levels, strict=True):
                yield svg.dot(x, y, 4, f"{kind} hollow" if row.saturated else kind)
            ends.append((points[-1][1], f"{title_of(peer)} {('p50', '', 'p99')[percentile]}", kind))
    y_before = 0.0
    for y, words, kind in sorted(ends):
        y_before = max(y, y_before + LABEL_GAP)
        yield svg.text(LEVELS_RIGHT + 12, y_before + 4, words, kind)


def _title(title: str, legend: str) -> list[str]:
    return [svg.text(14, 26, title, "title"), svg.text(14, 46, legend, "quiet")]


def _vertical_grid(axis: LogAxis, height: int) -> Iterator[str]:
    for value, labelled in axis.ticks():
        x = axis.place(value)
        yield svg.line(x, TOP, x, height - 34, "grid")
        if labelled:
            yield svg.text(x, height - 16, duration(value), "quiet middle")
    yield svg.text(WIDTH - 10, TOP - 16, "p50 / p99", "quiet end")


def _name(row: Row, y: float) -> str:
    kind = "strong end" if row.peer.startswith(OURS) else "end"
    return svg.text(LEFT - 12, y + 4, title_of(row.peer), kind)


def _kind(row: Row) -> str:
    return "ours" if row.peer.startswith(OURS) else "theirs"


def _figures(row: Row) -> LatencyFigures:
    assert row.latency is not None
    return row.latency


def _percentiles(row: Row) -> tuple[float, float, float, float]:
    figures = _figures(row)
    return figures.p50.median, figures.p95.median, figures.p99.median, figures.p999
