"""What can go wrong with the directory of agents."""

from __future__ import annotations

from bellwire.wire.errors import CapacityError, PeerError

__all__ = ["DirectoryFullError", "DirectoryUnavailableError"]


class DirectoryUnavailableError(PeerError):
    """Redis, which keeps the directory of agents, did not answer."""

    reason = "DIRECTORY_UNAVAILABLE"


class DirectoryFullError(CapacityError):
    """The directory names as many coordinators as it may."""

    reason = "DIRECTORY_FULL"
