"""The flags of `sub` and `tail` as what the client takes."""

from __future__ import annotations

import time
from typing import Final

from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.cli.faults import UsageFault
from bellwire.cli.moments import parse_duration
from bellwire.cli.positions import parse_positions

__all__ = ["check_rejection", "parse_begin", "parse_lease"]

LEASE_SECONDS_MIN: Final = 1.0  # The contract's bounds.
LEASE_SECONDS_MAX: Final = 600.0
REASON_BYTES_MAX: Final = 1_024


def parse_begin(text: str | None) -> StartPosition | None:
    """Return where a new cursor begins; several places are separated by commas.

    Raises:
        UsageFault: It is no position.
    """
    return None if text is None else parse_positions(text.split(","), time.time_ns())


def parse_lease(text: str | None) -> float | None:
    """Return seconds; None = as long as the stream lives.

    Raises:
        UsageFault: It is no duration, or not one a lease may have.
    """
    if text is None:
        return None
    seconds = parse_duration(text, "--lease")
    if not LEASE_SECONDS_MIN <= seconds <= LEASE_SECONDS_MAX:
        raise UsageFault(f"--lease is {text!r}; expected 1s to 10m")
    return seconds


def check_rejection(reason: str | None, subscription: str) -> None:
    """Check that dead letters can be made of what is taken.

    Raises:
        UsageFault: The cursor has no name, or the reason is too long.
    """
    if reason is None:
        return
    if not subscription:
        raise UsageFault("--reject goes with --subscription: a dead letter belongs to one")
    if len(reason.encode()) > REASON_BYTES_MAX:
        raise UsageFault(
            f"--reject holds {len(reason.encode())} bytes; the limit is {REASON_BYTES_MAX}"
        )
