"""Columns and cells of each kind of scenario."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.scenario import Beside, ColumnFlood, Commit, Latency, Levels, Scenario
from tests.benchmarks.summary import CLIENT_ROLES, DISK_KINDS, ROLES, LatencyFigures, Row, Spread

ABSENT: Final = "–"
MICROSECONDS_SHOWN_BELOW: Final = 100_000  # From here on milliseconds are easier to read.
BYTES_PER_MB: Final = 1e6
ALONE: Final = "alone"
VARIANTS: Final = {
    ALONE: "alone",
    "memory": "beside memory",
    "durable": "beside durable",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Heads, and how a row fills them; the system's name and ratios stand around them."""

    heads: tuple[str, ...]
    cells: Callable[[Row], tuple[str, ...]]
    in_microseconds: bool


def columns_for(scenario: Scenario) -> Columns:
    """Give the columns between the name of the system and the ratios."""
    if isinstance(scenario, Latency):
        return _LATENCY
    if isinstance(scenario, Commit):
        return _COMMIT
    if isinstance(scenario, Beside):
        return _BESIDE
    if isinstance(scenario, ColumnFlood):
        return _COLUMNS
    if isinstance(scenario, Levels):
        return _LEVELS
    return _DURABLE_THROUGHPUT if scenario.suite.durable else _THROUGHPUT


def ratio(spread: Spread | None) -> str:
    """Show the median of a ratio."""
    return ABSENT if spread is None else f"{spread.median:.2f}"


def number(value: float) -> str:
    """Show a whole number."""
    return f"{value:,.0f}"


def _latency(row: Row) -> tuple[str, ...]:
    figures = _figures(row)
    assert figures.paced is not None
    return (
        *_percentiles(figures),
        *(f"{row.messages:,}", f"{row.lost:,}", _time(figures.paced.began_p50)),
        f"{_time(figures.paced.late_p50)} / {_time(figures.paced.late_p99)}",
        *_costs(row),
    )


def _commit(row: Row) -> tuple[str, ...]:
    return (*_percentiles(_figures(row)), f"{row.messages:,}", f"{row.lost:,}", _commit_times(row))


def _beside(row: Row) -> tuple[str, ...]:
    figures = _figures(row)
    assert figures.paced is not None
    neighbour = row.neighbour_per_second
    return (
        VARIANTS.get(row.variant, row.variant),
        *_percentiles(figures),
        *(f"{row.messages:,}", f"{row.lost:,}"),
        f"{_time(figures.paced.late_p50)} / {_time(figures.paced.late_p99)}",
        ABSENT if neighbour is None else number(neighbour),
    )


def _levels(row: Row) -> tuple[str, ...]:
    figures = _figures(row)
    assert figures.paced is not None
    taken = number(row.taken_per_second)
    return (
        number(int(row.variant)),
        f"saturated: {taken}" if row.saturated else taken,
        *_percentiles(figures),
        f"{row.messages:,}",
        f"{row.lost + row.unsent:,}",
        f"{_time(figures.paced.late_p50)} / {_time(figures.paced.late_p99)}",
        _cpu(row),
        f"{row.rss_bytes['broker'] / BYTES_PER_MB:.0f}",
    )


def _throughput(row: Row) -> tuple[str, ...]:
    assert row.spread is not None
    return (_with_extremes(row.spread, number), f"{row.lost:,}", *_costs(row))


def _costs(row: Row) -> tuple[str, ...]:
    wire = [row.wire_bytes[role] for role in CLIENT_ROLES]
    return (
        _cpu(row),
        "/".join(f"{row.rss_bytes[role] / BYTES_PER_MB:.0f}" for role in ROLES),
        "/".join(ABSENT if each is None else number(each) for each in wire),
    )


def _columns(row: Row) -> tuple[str, ...]:
    assert row.spread is not None
    wire = [row.wire_bytes[role] for role in CLIENT_ROLES]
    return (
        _with_extremes(row.spread, number),
        f"{row.lost:,}",
        # Microseconds for one are seconds for a million.
        " + ".join(f"{row.cpu_us[role]:.3f}" for role in ROLES),
        "/".join(f"{row.rss_bytes[role] / 1e6:.0f}" for role in ROLES),
        "/".join(ABSENT if each is None else f"{each:.1f}" for each in wire),
    )


def _durable_throughput(row: Row) -> tuple[str, ...]:
    disk = [row.disk_bytes[kind] for kind in DISK_KINDS]
    return (
        *_throughput(row),
        "/".join(ABSENT if each is None else number(each) for each in disk),
        _commit_times(row),
    )


def _cpu(row: Row) -> str:
    return " + ".join(f"{row.cpu_us[role]:.1f}" for role in ROLES)


def _figures(row: Row) -> LatencyFigures:
    assert row.latency is not None
    return row.latency


def _percentiles(figures: LatencyFigures) -> tuple[str, ...]:
    return (
        _with_extremes(figures.p50, _time),
        *map(_time, (figures.p95.median, figures.p99.median, figures.p999, figures.max)),
    )


def _commit_times(row: Row) -> str:
    if row.commit_us is None:
        return ABSENT
    return " / ".join(_time(value) for value in row.commit_us.values())


def _with_extremes(spread: Spread, show: Callable[[float], str]) -> str:
    median, low, high = map(show, spread)
    return median if low == high else f"{median} ({low}–{high})"


def _time(microseconds: float) -> str:
    if microseconds < MICROSECONDS_SHOWN_BELOW:
        return number(microseconds)
    return f"{number(microseconds / 1_000)} ms"


_PERCENTILES: Final = ("p50 (rounds)", "p95", "p99", "p99.9", "max", "n", "lost")
_COSTS: Final = ("CPU µs/msg", "RSS MB", "wire B/msg")
_THROUGHPUT_HEADS: Final = ("msg/s (rounds)", "lost", *_COSTS)
_COLUMNS_HEADS: Final = ("updates/s (rounds)", "lost", "CPU s/M", "RSS MB", "wire B/update")
_COLUMNS: Final = Columns(_COLUMNS_HEADS, _columns, False)
_LATENCY: Final = Columns((*_PERCENTILES, "from send", "late p50 / p99", *_COSTS), _latency, True)
_COMMIT: Final = Columns((*_PERCENTILES, "commit p50 / p99"), _commit, True)
_LEVELS: Final = Columns(
    ("offered/s", "taken/s", *_PERCENTILES, "late p50 / p99", "CPU µs/msg", "broker RSS MB"),
    _levels,
    True,
)
_BESIDE: Final = Columns(("part", *_PERCENTILES, "late p50 / p99", "other msg/s"), _beside, True)
_THROUGHPUT: Final = Columns(_THROUGHPUT_HEADS, _throughput, False)
_DURABLE_THROUGHPUT: Final = Columns(
    (*_THROUGHPUT_HEADS, "disk B/msg", "commit p50 / p99 µs"),
    _durable_throughput,
    False,
)
