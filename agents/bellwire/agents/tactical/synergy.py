"""Synergy events: several indicators that have agreed, one after the other, on a direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bellwire.wire.errors import CallerError

SEQUENCE_MAX: Final = 16  # signals named in one event; the known types have three


class SynergyType(StrEnum):
    """Which sequence of signals made the event."""

    TYPE_1 = "TYPE_1"
    """Weighs the gaps above momentum."""
    TYPE_2 = "TYPE_2"
    """Weighs both alike."""
    TYPE_3 = "TYPE_3"
    """Weighs momentum above the gaps."""
    TYPE_4 = "TYPE_4"
    """Weighs both alike."""


class InvalidSynergyError(CallerError):
    """An event that cannot be."""

    reason = "SYNERGY_INVALID"

    def __init__(self, name: str, found: object, expected: str) -> None:
        self.name = name
        self.found = found
        self.expected = expected
        super().__init__(f"{name} of the synergy is {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Synergy:
    """One event."""

    type: SynergyType
    direction: int
    """1 up, -1 down."""
    confidence: float
    """0 to 1, as its source states it; it weighs nothing here."""
    signal_sequence: tuple[str, ...] = ()
    """Names of the signals, first to last; at most 16."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            InvalidSynergyError: Naming the field.
        """
        if self.direction not in (-1, 1):
            raise InvalidSynergyError("direction", self.direction, "1 or -1")
        if not 0.0 <= self.confidence <= 1.0:
            raise InvalidSynergyError("confidence", self.confidence, "0 to 1")
        if len(self.signal_sequence) > SEQUENCE_MAX:
            found = len(self.signal_sequence)
            raise InvalidSynergyError("length", found, f"at most {SEQUENCE_MAX} signals")


@dataclass(frozen=True, slots=True)
class VoteWeights:
    """Shares of the two agents that have a direction; they add up to 1."""

    fvg: float
    momentum: float


# Shares of three agents (.5 .3 .2, .4 .4 .2, .3 .5 .2, .35 .35 .3, a third each), entry left out.
_WEIGHTS: Final[Mapping[SynergyType, VoteWeights]] = {
    SynergyType.TYPE_1: VoteWeights(0.625, 0.375),
    SynergyType.TYPE_2: VoteWeights(0.5, 0.5),
    SynergyType.TYPE_3: VoteWeights(0.375, 0.625),
    SynergyType.TYPE_4: VoteWeights(0.5, 0.5),
}
_WITHOUT_EVENT: Final = VoteWeights(0.5, 0.5)


def weights_of(synergy: Synergy | None) -> VoteWeights:
    """Return how much each agent's vote counts during an event, or without one."""
    return _WITHOUT_EVENT if synergy is None else _WEIGHTS[synergy.type]
