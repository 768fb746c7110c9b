"""Errors only a client can meet; the others are in `bellwire.wire.errors`."""

from __future__ import annotations

from bellwire.wire.errors import CapacityError, DeadlineExceededError, PeerError

__all__ = ["BufferFullError", "UnreachableError", "timed_out"]


class UnreachableError(PeerError):
    """No coordinator answered at the address."""

    reason = "UNREACHABLE"


class BufferFullError(CapacityError):
    """The publish buffer stayed full: the coordinator takes messages slower than they come."""

    reason = "BUFFER_FULL"


def timed_out(seconds: float, waited_for: str, why: str = "") -> DeadlineExceededError:
    """Return the error of a wait that was too long, with what was waited for and the last trouble seen."""
    text = f"{waited_for} took longer than {seconds:g} s"
    return DeadlineExceededError(
        f"{text}: {why}" if why else text,
        metadata={"waited_for": waited_for, "seconds": f"{seconds:g}"},
    )
