"""Errors of the analytic store, its sink and its queries."""

from bellwire.wire.errors import CallerError, CapacityError, PeerError


class AnalyticStoreError(CallerError):
    """The folder of the analytic store cannot be used."""

    reason = "ANALYTIC_STORE_UNUSABLE"


class AnalyticStoreLockedError(CallerError):
    """Another sink writes to that analytic store."""

    reason = "ANALYTIC_STORE_LOCKED"


class QueryError(CallerError):
    """The query is wrong, or does more than read."""

    reason = "QUERY_INVALID"


class SinkWriteError(PeerError):
    """Rows could not be made durable; nothing of them was accepted."""

    reason = "SINK_WRITE_FAILED"


class QueryLimitError(CapacityError):
    """The query needs more memory or time than it may have."""

    reason = "QUERY_LIMIT"
