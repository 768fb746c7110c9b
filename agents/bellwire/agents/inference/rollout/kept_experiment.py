"""An experiment that outlives its process: sums in memory, and every few seconds on the disk."""

import logging
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.rollout.experiment import (
    Experiment,
    ExperimentReport,
    ExperimentSums,
)
from bellwire.agents.inference.rollout.experiment_file import ExperimentKey, ExperimentSlot
from bellwire.wire.errors import CapacityError

logger = logging.getLogger(__name__)

_NOTHING: Final = ExperimentSums()


@dataclass(frozen=True, slots=True)
class Glance:
    """What a look at the disk has found."""

    others: ExperimentSums
    """By all other servers of the folder, those that are gone among them."""
    problem: str
    """Why something is not kept, or not counted; empty = all is."""


class KeptExperiment:
    """One experiment of one server.

    `sync` and `close` block as disks do, and are to be called one at a time, from any thread; the rest is for the loop.
    A disk that refuses ends no experiment: it goes on in memory, and `problem` says so. What was read is kept here to
    the end: no write puts less in its place, whatever comes in between.

    Attributes:
        key: Which one it is.
        experiment: Takes observations; what was seen by this process alone.
        others: What other servers have seen, as of the last look.
        problem: What is wrong with keeping it; empty = nothing.
    """

    def __init__(self, root: Path, key: ExperimentKey) -> None:
        """Read nothing yet; `root` is the folder of models."""
        self.key = key
        self._root = root
        self._slot: ExperimentSlot | None = None
        self._carried = _NOTHING
        """What lay in each place that was taken; by then, nobody else counts it."""
        self._written = _NOTHING
        self._is_closed = False
        self.experiment = Experiment(key.model, key.share)
        self.others = _NOTHING
        self.problem = ""

    def report(self) -> ExperimentReport:
        """Return what this server and the others have seen together."""
        return self.experiment.report(self._carried.merged(self.others))

    def sync(self, sums: ExperimentSums) -> Glance:
        """Write sums unless they are on the disk already, and look at the others'; where there is no place, take one.

        Args:
            sums: `experiment.sums`, taken on the loop.
        """
        if self._is_closed:
            return Glance(self.others, self.problem)
        try:
            slot = self._own_slot()
            sums = self._carried.merged(sums)
            if sums != self._written:
                slot.write(self.key, sums)
                self._written = sums
        except (OSError, CapacityError) as error:
            return Glance(self.others, _unkept(error))
        return self._look(slot)

    def see(self, glance: Glance) -> None:
        """Take note of what `sync` has found, before it is called again."""
        self.others, self.problem = glance.others, glance.problem

    def close(self, sums: ExperimentSums) -> None:
        """Write sums, and leave the place to the next one; safe to call twice."""
        if self._is_closed:
            return
        try:
            problem = self.sync(sums).problem
            if problem:
                logger.warning("experiment of %s: %s", self.key.model, problem)
        finally:
            self._is_closed = True
            self._leave()

    def _own_slot(self) -> ExperimentSlot:
        """Return this one's place; a new one where there is none, or where it was removed."""
        if self._slot is not None and not self._slot.is_held():
            logger.warning(
                "experiment of %s: its files were removed; it goes on with what is in memory, in the next free place",
                self.key.model,
            )
            self._leave()
        if self._slot is None:
            self._slot = self._take()
        return self._slot

    def _leave(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.close()

    def _take(self) -> ExperimentSlot:
        """Take a place, and over what lies there."""
        slot = ExperimentSlot.take(self._root, self.key.model)
        try:
            before = self._before(slot)
        except BaseException:
            slot.close()
            raise
        if before != self._written:  # Else it is our own: only the lock was removed.
            self._carried = self._carried.merged(before)
        self._written = before
        return slot

    def _before(self, slot: ExperimentSlot) -> ExperimentSums:
        try:
            return slot.read(self.key)
        except InvalidModelError as error:
            aside = slot.set_aside()
            logger.warning(
                "experiment of %s begins again: %s; the file is kept as %s",
                self.key.model,
                error.message,
                aside.name,
            )
            return _NOTHING

    def _look(self, slot: ExperimentSlot) -> Glance:
        found = list(slot.others(self.key))
        sums = [each for each in found if isinstance(each, ExperimentSums)]
        wrong = [each.message for each in found if isinstance(each, InvalidModelError)]
        problem = f"what another server has seen is not counted: {wrong[0]}" if wrong else ""
        return Glance(reduce(ExperimentSums.merged, sums, _NOTHING), problem)


def _unkept(error: OSError | CapacityError) -> str:
    why = error.message if isinstance(error, CapacityError) else error.strerror or str(error)
    return f"its sums are not kept: {why}"
