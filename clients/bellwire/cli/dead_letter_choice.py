"""Which dead letters a verb is about: its flags as the filter of the contract, and in words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.admin.v1.dead_letter_pb2 import DeadLetterFilter
from bellwire.cli.faults import UsageFault
from bellwire.cli.moments import parse_moment
from bellwire.cli.units import moment_text

__all__ = ["Chosen", "choose"]

IDS_MAX: Final = 1_000  # The contract's bound for one filter.


@dataclass(frozen=True, slots=True)
class Chosen:
    """Dead letters of one topic."""

    topic: str
    filter: DeadLetterFilter

    @property
    def words(self) -> str:
        """Say which ones, for a sentence: "of orders.paper given up by risk"."""
        wanted = self.filter
        parts = [f"of {self.topic}"]
        if wanted.subscription:
            parts.append(f"given up by {wanted.subscription}")
        if wanted.reason_contains:
            parts.append(f"with {wanted.reason_contains!r} in the reason")
        if wanted.key:
            parts.append(f"with key {wanted.key}")
        if wanted.before_time_unix_nano:
            parts.append(f"before {moment_text(wanted.before_time_unix_nano)} UTC")
        if wanted.ids:
            parts.append(f"of {len(wanted.ids)} id{'s' if len(wanted.ids) > 1 else ''}")
        return " ".join(parts)


def choose(
    topic: str,
    subscription: str,
    reason: str,
    key: str,
    before: str | None,
    ids: Sequence[int] | None,
) -> Chosen:
    """Return what the flags choose; all conditions must hold.

    Raises:
        UsageFault: The time cannot be read, or there are too many ids.
    """
    if ids and len(ids) > IDS_MAX:
        raise UsageFault(f"--id is given {len(ids)} times; one filter takes {IDS_MAX}")
    before_ns = 0 if before is None else parse_moment(before, time.time_ns(), "--before")
    return Chosen(
        topic,
        DeadLetterFilter(
            subscription=subscription,
            reason_contains=reason,
            key=key,
            ids=ids or (),
            before_time_unix_nano=before_ns,
        ),
    )
