"""What can go wrong with a group of coordinators."""

from __future__ import annotations

from bellwire.wire.errors import CallerError, PeerError, StatusCode

__all__ = ["LeaseRefusedError", "LeaseUnavailableError", "StoreContestedError"]


class LeaseRefusedError(CallerError):
    """Redis cannot keep the lease: a wrong password, or it may evict it."""

    reason = "LEASE_REFUSED"
    code = StatusCode.FAILED_PRECONDITION


class LeaseUnavailableError(PeerError):
    """Redis, which keeps the lease of the group, did not answer."""

    reason = "LEASE_UNAVAILABLE"


class StoreContestedError(CallerError):
    """Somebody outside the group writes to its store."""

    reason = "STORE_CONTESTED"
    code = StatusCode.FAILED_PRECONDITION
