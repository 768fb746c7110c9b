"""What the sink and its queries may be told, with the reason of each default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bellwire.wire.settings import SettingsError, check_settings, setting

__all__ = ["BIGQUERY_TABLE", "CODECS", "QuerySettings", "SinkSettings"]

CODECS: Final = ("zstd", "zstd-9", "snappy", "lz4", "none")
BIGQUERY_TABLE: Final = re.compile(
    r"(?P<project>[^\s/`]+)\.(?P<dataset>\w+)\.(?P<table>[\w-]+)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """How `bellwire sink` gathers, writes, compacts and drops."""

    store: str = field(
        default="analytics",
        metadata=setting(
            unit="", why="folder of the Parquet files, below where the sink is started"
        ),
    )
    bigquery: str = field(
        default="",
        metadata=setting(
            unit="",
            why="PROJECT.DATASET.TABLE to append to instead of `store`; none: Parquet files need no account",
        ),
    )
    bigquery_endpoint: str = field(
        default="",
        metadata=setting(
            unit="",
            why="HOST:PORT of another write service, without TLS and credentials; Google's own",
        ),
    )
    topics: tuple[str, ...] = field(
        default=(">",),
        metadata=setting(unit="", why="topics or patterns to keep; all, unless told otherwise"),
    )
    subscription: str = field(
        default="analytic-sink",
        metadata=setting(unit="", why="named, so that nothing is missed while the sink is down"),
    )
    batch_rows: int = field(
        default=500,
        metadata=setting(
            unit="rows",
            why="a file is written when so many wait; deliveries stay whole, so it may hold up to twice as many",
            ge=1,
            le=100_000,
        ),
    )
    linger_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s",
            why="fewer than `batch_rows` wait no longer: what happened is in queries 5 s later",
            ge=0.01,
            le=3_600,
        ),
    )
    recent_ids_max: int = field(
        default=100_000,
        metadata=setting(
            unit="ids",
            why="ten times what can be in flight, so that what comes again after a crash is known; about 20 MB",
            ge=10_000,
            le=10_000_000,
        ),
    )
    codec: str = field(
        default="zstd",
        metadata=setting(
            unit="",
            why="of files as they are written: the smallest, and as fast as the others",
            choices=CODECS,
        ),
    )
    codec_old: str = field(
        default="zstd-9",
        metadata=setting(
            unit="",
            why="of compacted older days: zstd at level 9, a tenth smaller than at 3 for less than twice the time",
            choices=CODECS,
        ),
    )
    compact_files: int = field(
        default=32,
        metadata=setting(
            unit="files",
            why="so many files of one size become one: each row is written again a few times, and a day "
            "has below a hundred files",
            ge=2,
            le=1_000,
        ),
    )
    recent_days: int = field(
        default=2,
        metadata=setting(
            unit="days",
            why="today and yesterday stay as written; a day older becomes one file with `codec_old`",
            ge=1,
            le=3_650,
        ),
    )
    keep_days: int = field(
        default=0,
        metadata=setting(
            unit="days", why="older days are dropped; 0 = kept for ever", ge=0, le=36_500
        ),
    )
    upkeep_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s",
            why="between looks at what to compact, refresh or drop",
            ge=0.05,
            le=86_400,
        ),
    )
    retry_max_seconds: float = field(
        default=30.0,
        metadata=setting(
            unit="s",
            why="upper bound between two tries to write when the disk takes nothing; it tries as long as it lives",
            gt=0,
            le=3_600,
        ),
    )
    memory_bytes: int = field(
        default=256 << 20,
        metadata=setting(
            unit="bytes",
            why="of DuckDB, once for writing and once for upkeep; bigger sorts spill to the store's disk",
            ge=64 << 20,
            le=1 << 40,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.bigquery and BIGQUERY_TABLE.fullmatch(self.bigquery) is None:
            raise SettingsError("sink", "bigquery", self.bigquery, "PROJECT.DATASET.TABLE")


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """What one `bellwire query` may use."""

    rows_max: int = field(
        default=10_000,
        metadata=setting(
            unit="rows", why="a screen takes fewer; an export says so", ge=1, le=1_000_000_000
        ),
    )
    memory_bytes: int = field(
        default=512 << 20,
        metadata=setting(
            unit="bytes",
            why="of DuckDB; a query that needs more spills to a temporary folder, or fails",
            ge=64 << 20,
            le=1 << 40,
        ),
    )
    spill_bytes: int = field(
        default=4 << 30,
        metadata=setting(unit="bytes", why="of the temporary folder", ge=0, le=1 << 44),
    )
    seconds_max: float = field(
        default=60.0,
        metadata=setting(unit="s", why="a query longer than that is stopped", gt=0, le=86_400),
    )
    threads: int = field(
        default=2,
        metadata=setting(
            unit="threads", why="the bus on the same machine needs the others", ge=1, le=256
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
