"""Which of a rollout's versions really answers, given those that could be loaded; no I/O."""

from collections.abc import Set
from dataclasses import dataclass

from bellwire.agents.inference.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Service:
    """A rollout as it can be followed."""

    rollout: Rollout
    problem: str
    """Why it is not the one that was asked for, or cannot be followed whole; empty = it is."""


def in_service(rollout: Rollout, ready: Set[int]) -> Service:
    """Return what to go by.

    A version that was promoted and cannot be loaded leaves the one before it in service: nobody decided against that
    one. Where that is not loaded either, requests for the model fail, rather than being answered by a version that
    nobody chose.

    Args:
        rollout: As it was written.
        ready: The model's versions that may be asked.
    """
    if rollout.serving in ready:
        missing = rollout.candidate and rollout.candidate not in ready
        text = f"candidate {rollout.candidate} is not loaded, {rollout.serving} answers for it"
        return Service(rollout, text if missing else "")
    if rollout.previous in ready:
        before = Rollout(rollout.model, rollout.previous)
        return Service(
            before, f"version {rollout.serving} is not loaded, {rollout.previous} still answers"
        )
    return Service(rollout, f"version {rollout.serving} is not loaded, and none was before it")
