"""The distributions of the training bars, for `drift.json`: what the model saw there, and what it says."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.drift import Reference
from bellwire.agents.drift.reference import reference_of
from bellwire.agents.train.evaluate import evaluate
from bellwire.agents.train.policy import Policy
from bellwire.agents.train.tape import Tape
from bellwire.agents.train.walk_forward import Split

CHUNK_BARS: Final = 4_096  # observations at once: 1.7 kB a bar


def references(
    policy: Policy, tapes: Sequence[Tape], splits: Sequence[Split]
) -> tuple[Reference, ...]:
    """Return one reference a tape, of the bars trained on. Blocks; 20 to 40 us a bar.

    The policy walks over them greedily from a flat position, as the agent does with the default rule.
    """
    return tuple(
        _reference(policy, tape, split.train) for tape, split in zip(tapes, splits, strict=True)
    )


def _reference(policy: Policy, tape: Tape, bars: range) -> Reference:
    return reference_of(
        tape.bars.symbol,
        tape.bars.interval,
        tape.bars.sha256,
        rows=tape.rows[bars.start : bars.stop].astype(np.float64),
        actions=_actions(policy, tape, bars),
    )


def _actions(policy: Policy, tape: Tape, bars: range) -> NDArray[np.intp]:
    """Return the most likely actions on each bar, (n, 3), at the position the policy held there."""
    held = evaluate(policy, tape, bars).seen[:, None].astype(np.float32)  # (n, 1)
    numbers = np.arange(bars.start, bars.stop)
    parts = [
        policy(tape.observations(numbers[at : at + CHUNK_BARS]), held[at : at + CHUNK_BARS])
        for at in range(0, len(numbers), CHUNK_BARS)
    ]
    said: NDArray[np.intp] = np.concatenate(parts).argmax(axis=2)  # (n, 3)
    return said
