"""The histogram of `bellwire loadtest`, so that both mean the same by a percentile."""

from bellwire.cli.loadtest.histogram import (
    HistogramJson,
    LatencyHistogram,
    Quantiles,
    bucket_of,
    highest_in,
)

__all__ = ["HistogramJson", "LatencyHistogram", "Quantiles", "bucket_of", "highest_in"]
