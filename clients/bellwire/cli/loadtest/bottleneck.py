"""Which part of the way stopped a level from being met, and by which sign."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Bottleneck", "Evidence", "Part", "find_bottleneck"]


# Of a core. What is used less is a process that waits for another one rather than the other for it.
BUSY_SHARE: Final = 0.5


class Part(StrEnum):
    """Where messages wait."""

    NONE = "none"
    """The level was met."""
    PUBLISHER = "publisher"
    COORDINATOR = "coordinator"
    SUBSCRIBER = "subscriber"
    DISK = "disk"
    UNCLEAR = "unclear"
    """The level was missed and nothing was saturated."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen while the load was applied. Shares are of one core, or of the time."""

    is_met: bool
    publisher_share: float
    """CPU of the busiest publisher."""
    coordinator_share: float
    subscriber_share: float
    """CPU of the busiest subscriber."""
    commit_share: float = 0.0
    """Part of the time in which a commit was under way; 0 without a disk."""
    commit_us_p50: int = 0
    uncommitted_messages_max: int = 0
    dropped_messages: int = 0
    unsent_messages: int = 0
    """Of what was offered, not taken in time."""
    ended: str = ""
    """Why a subscription ended before its time."""
    machine_share: float = 0.0
    """Part of all cores' time that was used, by anybody."""
    others_share: float = 0.0
    """Part of it that neither we nor the coordinator used."""
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The verdict."""

    part: Part
    reason: str


def find_bottleneck(evidence: Evidence, saturated_share: float) -> Bottleneck:
    """Name the part that was saturated.

    Asked in turn, since each explains what follows it: a subscription that ended, the disk (commits
    under way all the time), the busiest of the three kinds of process, a subscriber that messages
    were dropped for, the machine, whose lack of cores is charged to the busiest process, and an
    offer that was not taken: the busiest process is charged with it if it was not mostly waiting.
    """
    if evidence.is_met:
        return Bottleneck(Part.NONE, "")
    if evidence.ended:
        return Bottleneck(Part.SUBSCRIBER, f"its subscription ended: {evidence.ended}")
    if evidence.commit_share >= saturated_share:
        return Bottleneck(Part.DISK, _disk_reason(evidence))
    part, share = _busiest(evidence)
    if share >= saturated_share:
        return Bottleneck(part, f"{share:.0%} of a core")
    if evidence.dropped_messages:
        return Bottleneck(
            Part.SUBSCRIBER,
            f"the coordinator dropped {evidence.dropped_messages:,} messages it had not taken",
        )
    if evidence.machine_share >= saturated_share:
        return Bottleneck(
            part,
            f"{share:.0%} of a core, the most of all, while the machine's {evidence.cores} cores "
            f"were {evidence.machine_share:.0%} busy, {evidence.others_share:.0%} with other work",
        )
    if evidence.unsent_messages and share >= BUSY_SHARE:
        return Bottleneck(
            part,
            f"{share:.0%} of a core, the most of all; {evidence.unsent_messages:,} messages of "
            "the offer were not taken",
        )
    return Bottleneck(
        Part.UNCLEAR, f"nothing was saturated; busiest was the {part} with {share:.0%} of a core"
    )


def _busiest(evidence: Evidence) -> tuple[Part, float]:
    shares = (
        (Part.COORDINATOR, evidence.coordinator_share),
        (Part.PUBLISHER, evidence.publisher_share),
        (Part.SUBSCRIBER, evidence.subscriber_share),
    )
    return max(shares, key=lambda item: item[1])


def _disk_reason(evidence: Evidence) -> str:
    return (
        f"commits under way {min(evidence.commit_share, 1.0):.0%} of the time "
        f"(p50 {evidence.commit_us_p50:,} µs), up to {evidence.uncommitted_messages_max:,} "
        "messages waiting for one"
    )
