"""What those hear who wait for an answer that does not come."""

from __future__ import annotations

from bellwire.wire.errors import DeadlineExceededError, DrainingError

__all__ = ["stopping", "too_late"]


def stopping() -> DrainingError:
    """Return the error of a coordinator that goes away."""
    return DrainingError("the coordinator is stopping: call again")


def too_late(space: str, seconds: float) -> DeadlineExceededError:
    """Return the error of a question to a space that was not answered in time."""
    return DeadlineExceededError(
        f"no answer of {space!r} came within {max(seconds, 0.0):.3g} s; whether the work was done is unknown",
        metadata={"capability": space},
    )
