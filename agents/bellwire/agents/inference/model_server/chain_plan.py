"""Which steps answer for a model, as people write them: "tactical=tactical,tactical:parent,hold"."""

import re
from dataclasses import dataclass
from typing import Final

from bellwire.agents.inference.constant import HOLD

PARENT_STEP: Final = "parent"
STEPS_MAX: Final = 16  # Each has half of the time left: the last of them has a 65,536th part.
_NAME: Final = re.compile(r"(?!\.)[a-zA-Z0-9._-]{1,128}")  # As a model's.
_WHICH: Final = re.compile(r"[1-9][0-9]{0,8}|" + PARENT_STEP)


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One step: "tactical" as its rollout has it, "tactical:3" alone, or "tactical:parent"."""

    text: str
    """As it was written; names the step in answers."""
    model: str
    """A model, or a stand-in that the server's maker named."""
    version: int = 0
    """0 = the one in service."""
    is_parent: bool = False
    """Whether it is the version that the one in service was quantized from."""


def parse_step(text: str) -> ChainStep:
    """Read NAME, NAME:VERSION or NAME:parent.

    Raises:
        ValueError: It is none of them.
    """
    name, colon, which = text.partition(":")
    if _NAME.fullmatch(name) is None or (colon and _WHICH.fullmatch(which) is None):
        raise ValueError(f"step {text!r} is not NAME, NAME:VERSION or NAME:{PARENT_STEP}")
    is_parent = which == PARENT_STEP
    return ChainStep(text, name, int(which) if which and not is_parent else 0, is_parent)


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
    """Models, "NAME:VERSION", "NAME:parent", or stand-ins that the server's maker named; without "hold"."""
    holds: bool
    """Whether HOLD answers when none of them does."""

    def parsed(self) -> tuple[ChainStep, ...]:
        """Return the steps taken apart."""
        return tuple(map(parse_step, self.steps))

    @property
    def models(self) -> frozenset[str]:
        """Every name that a step asks for, whichever version it means."""
        return frozenset(step.model for step in self.parsed())


def parse_chain(text: str) -> ChainPlan:
    """Read "NAME=STEP,STEP,…", of which the last may be "hold".

    Raises:
        ChainPlanError: It is none, or names a step twice.
    """
    name, _, listed = text.partition("=")
    steps = listed.split(",")
    holds = steps[-1] == HOLD
    steps = steps[:-1] if holds else steps
    try:
        is_named = _NAME.fullmatch(name) is not None and all(map(parse_step, steps))
    except ValueError:
        is_named = False
    if not is_named:
        expected = (
            "NAME=STEP,STEP,… with names as models have them; a step may end in :VERSION or :parent"
        )
        raise ChainPlanError(text, expected)
    if not 1 <= len(steps) <= STEPS_MAX or len(set(steps)) < len(steps) or HOLD in steps:
        expected = f"1 to {STEPS_MAX} steps, each once, and {HOLD!r} only behind them"
        raise ChainPlanError(text, expected)
    return ChainPlan(name, tuple(steps), holds)
