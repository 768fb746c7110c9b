"""Bars of the analytic store for training: asked with SQL, decoded, and what was left out told."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import harmless
from bellwire.wire.errors import CallerError

if TYPE_CHECKING:
    from bellwire.agents.bars import BarSeries, RecordedSeries
    from bellwire.agents.train import BarArrays
    from bellwire.sink import Answer, QuerySettings

__all__ = ["BARS_MAX", "TOPIC", "StoredBars", "load_stored_bars"]

BARS_MAX: Final = 1_000_000  # of one symbol, as of a file: nearly two years of one-minute bars
SYMBOLS_MAX: Final = 32  # trained on together; a store of a whole market wants names
TOPIC: Final = "bars.1h"  # where the tactical agent takes its bars, too
BAR_TYPE: Final = "bellwire.trading.v1.Bar"
SYMBOL: Final = "json_extract_string(payload, '$.symbol')"
NANOS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class StoredBars:
    """Which bars of which store."""

    store: Path
    topic: str
    symbols: tuple[str, ...] = ()
    """Empty = all that the topic has."""


def load_stored_bars(wanted: StoredBars, settings: QuerySettings) -> tuple[BarArrays, ...]:
    """Return the bars of each symbol, and tell repeated, missing and unreadable ones on stderr. Blocks.

    Args:
        wanted: Store, topic and symbols.
        settings: Bounds of each query; its `rows_max` is not used.

    Raises:
        UsageFault: No store, no bars of a symbol, too many of them, or bars that make no series.
        QueryLimitError: A query needs more than the settings allow.
        ModuleNotFoundError: DuckDB is not installed.
    """
    from bellwire.agents.bars import recorded_series

    _tell_unreadable(wanted, settings)
    found: list[BarArrays] = []
    for symbol in wanted.symbols or _symbols(wanted, settings):
        try:
            recorded = recorded_series(symbol, _payloads(wanted, symbol, settings))
        except CallerError as error:
            raise UsageFault(f"{_place(wanted)}: {harmless(error.message)}") from error
        _tell(symbol, recorded)
        found.append(_arrays(recorded.series, wanted))
    return tuple(found)


def _symbols(wanted: StoredBars, settings: QuerySettings) -> tuple[str, ...]:
    sql = f"SELECT DISTINCT {SYMBOL} FROM messages WHERE {_where(wanted)} ORDER BY ALL"
    answer = _ask(wanted, sql, replace(settings, rows_max=SYMBOLS_MAX))
    if answer.more:
        raise UsageFault(
            f"{_place(wanted)} has more than {SYMBOLS_MAX} symbols; name some with --symbol"
        )
    symbols = tuple(str(row[0]) for row in answer.rows)
    if not symbols:
        raise UsageFault(
            f"{_place(wanted)} holds no {BAR_TYPE}; name the topic that bars go over with --topic, "
            "or record them with `bellwire sink`"
        )
    return symbols


def _payloads(wanted: StoredBars, symbol: str, settings: QuerySettings) -> Iterator[bytes]:
    from bellwire.sink.engine import text

    where = f"{_where(wanted)} AND {SYMBOL} = {text(symbol)}"
    sql = f'SELECT data FROM messages WHERE {where} ORDER BY admitted_time, "partition", "offset"'
    answer = _ask(wanted, sql, replace(settings, rows_max=BARS_MAX))
    if answer.more:
        raise UsageFault(
            f"{_place(wanted)} has more than {BARS_MAX:,} bars of {harmless(symbol)}; "
            "keep fewer days in the store (sink.keep_days), or train on longer bars"
        )
    for (data,) in answer.rows:
        assert isinstance(data, bytes), "a BLOB"
        yield data


def _tell_unreadable(wanted: StoredBars, settings: QuerySettings) -> None:
    """Say on stderr what training goes without: damaged files, and payloads that are no bar."""
    sql = f"SELECT count(*) FROM messages WHERE {_of_type(wanted)} AND {SYMBOL} IS NULL"
    answer = _ask(wanted, sql, settings)
    for path in answer.damaged:
        sys.stderr.write(f"train: damaged file left out: {harmless(str(path))}\n")
    ((count,),) = answer.rows
    if count:
        sys.stderr.write(f"train: {count:,} messages left out: their payload is no {BAR_TYPE}\n")


def _where(wanted: StoredBars) -> str:
    return f"{_of_type(wanted)} AND {SYMBOL} IS NOT NULL"


def _of_type(wanted: StoredBars) -> str:
    from bellwire.sink.engine import text

    return f"topic = {text(wanted.topic)} AND type = {text(BAR_TYPE)}"


def _ask(wanted: StoredBars, sql: str, settings: QuerySettings) -> Answer:
    from bellwire.sink import AnalyticStoreError, QueryError, ask

    try:
        return ask(wanted.store, sql, settings)
    except (AnalyticStoreError, QueryError) as error:
        raise UsageFault(f"--from-store: {error.message}") from error


def _place(wanted: StoredBars) -> str:
    return f"topic {harmless(wanted.topic)} of the analytic store {wanted.store}"


def _arrays(series: BarSeries, wanted: StoredBars) -> BarArrays:
    from bellwire.agents.train.data import from_series

    source = f"analytic store, topic {wanted.topic}"
    return from_series(series, source=source, sha256=_sha256(series))


def _sha256(series: BarSeries) -> str:
    """Return a digest of the bars as text: the same whichever files they lie in."""
    digest = hashlib.sha256(f"{series.symbol},{series.interval}\n".encode())
    for bar in series.bars:
        numbers: Sequence[str] = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        digest.update(f"{bar.open_time_unix_nano},{','.join(numbers)}\n".encode())
    return digest.hexdigest()


def _tell(symbol: str, recorded: RecordedSeries) -> None:
    """Say on stderr what was read, and what is wrong with it that training can live with."""
    series, gaps = recorded.series, recorded.series.gaps
    said = [f"{len(series.bars):,} bars of {series.interval}"]
    if gaps.first_at_unix_nano is not None:
        hours = gaps.largest_seconds / 3_600
        said.append(
            f"{gaps.count:,} gaps, the first at {_time(gaps.first_at_unix_nano)}, "
            f"the longest {hours:,.1f} h"
        )
    if recorded.repeated:
        said.append(
            f"{recorded.repeated:,} repeated bars left out, {recorded.contradicting:,} of them with "
            "other numbers"
        )
    sys.stderr.write(f"train: {harmless(symbol)}: {'; '.join(said)}\n")


def _time(unix_nano: int) -> str:
    moment = datetime.fromtimestamp(unix_nano // NANOS_PER_SECOND, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
