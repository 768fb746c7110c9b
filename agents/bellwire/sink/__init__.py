"""The analytic store: topics as Parquet files by day, written by a sink, asked with SQL."""

from bellwire.sink.errors import (
    AnalyticStoreError,
    AnalyticStoreLockedError,
    QueryError,
    QueryLimitError,
    SinkWriteError,
)
from bellwire.sink.query import Answer, ask
from bellwire.sink.runner import SinkEvents, SinkRunner, SinkTotals
from bellwire.sink.settings import QuerySettings, SinkSettings
from bellwire.sink.writer import ParquetWriter, RowWriter

__all__ = [
    "AnalyticStoreError",
    "AnalyticStoreLockedError",
    "Answer",
    "ParquetWriter",
    "QueryError",
    "QueryLimitError",
    "QuerySettings",
    "RowWriter",
    "SinkEvents",
    "SinkRunner",
    "SinkSettings",
    "SinkTotals",
    "SinkWriteError",
    "ask",
]
