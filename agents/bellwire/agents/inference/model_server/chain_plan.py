"""Which steps answer for a model, as people write them: "tactical=tactical-int8,tactical,hold"."""

import re
from dataclasses import dataclass
from typing import Final

HOLD: Final = "hold"
STEPS_MAX: Final = 16  # Each has half of the time left: the last of them has a 65,536th part.
_NAME: Final = re.compile(r"(?!\.)[a-zA-Z0-9._-]{1,128}")  # As a model's.


class ChainPlanError(ValueError):
    """A text is no chain."""

    def __init__(self, text: str, expected: str) -> None:
        """Name what was written, and what is written instead."""
        self.text = text
        self.expected = expected
        super().__init__(f"chain is {text!r}; expected {expected}")


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """The steps that answer for one name, the best first."""

    name: str
    """What requests ask for: a model's name, or one of its own."""
    steps: tuple[str, ...]
    """Models, or stand-ins that the server's maker named; without "hold"."""
    holds: bool
    """Whether HOLD answers when none of them does."""


def parse_chain(text: str) -> ChainPlan:
    """Read "NAME=STEP,STEP,…", of which the last may be "hold".

    Raises:
        ChainPlanError: It is none, or names a step twice.
    """
    name, _, listed = text.partition("=")
    steps = listed.split(",")
    holds = steps[-1] == HOLD
    steps = steps[:-1] if holds else steps
    if any(_NAME.fullmatch(each) is None for each in (name, *steps)):
        raise ChainPlanError(text, "NAME=STEP,STEP,… with names as models have them")
    if not 1 <= len(steps) <= STEPS_MAX or len(set(steps)) < len(steps) or HOLD in steps:
        expected = f"1 to {STEPS_MAX} steps, each once, and {HOLD!r} only behind them"
        raise ChainPlanError(text, expected)
    return ChainPlan(name, tuple(steps), holds)
