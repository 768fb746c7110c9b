"""How a new version comes into service, as a state machine with a record of every step; no I/O, no clock.

::

    SERVING ── start ──► SHADOW | CANARY | AB ── move ──► SHADOW | CANARY | AB (another share)
       ▲                          │
       ├────────── promote ───────┤   the candidate serves, and what served is kept for a rollback
       └────────── rollback ──────┘   the candidate is dropped; without one, the version before serves again
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bellwire.agents.inference.rollout.errors import RolloutStepError

RECORDS_MAX: Final = 1_000  # Steps kept, DROP_OLDEST: years of careful work.
TEXT_CHARACTERS_MAX: Final = 1_000


class Stage(StrEnum):
    """What becomes of requests for a model while a candidate is looked at."""

    SERVING = "SERVING"
    """There is no candidate."""
    SHADOW = "SHADOW"
    """The candidate is asked as well, afterwards, and its answers are only compared."""
    CANARY = "CANARY"
    """The candidate answers for a share of the keys, to see whether it works."""
    AB = "AB"
    """The candidate answers for a share of the keys, to see whether it is better."""


class StepKind(StrEnum):
    """What was done."""

    PIN = "PIN"
    START = "START"
    MOVE = "MOVE"
    PROMOTE = "PROMOTE"
    ROLLBACK = "ROLLBACK"


@dataclass(frozen=True, slots=True)
class Author:
    """Who does a step, and why: an operator's name, "gate", "report"."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step, as it was taken."""

    time_unix_nano: int
    step: StepKind
    author: str
    reason: str
    stage: Stage
    """After the step, as are the others."""
    serving: int
    candidate: int
    share: float


@dataclass(frozen=True, slots=True)
class Rollout:
    """One model's rollout; every step returns a new one."""

    model: str
    serving: int
    """Version that answers."""
    stage: Stage = Stage.SERVING
    candidate: int = 0
    """Version that is looked at; 0 = none."""
    share: float = 0.0
    """Of the keys that the candidate answers for, 0 … 1; 0 but in CANARY and AB."""
    previous: int = 0
    """Version that served before the last promotion; 0 = none, or gone back to."""
    records: tuple[StepRecord, ...] = ()
    """Oldest first."""

    def pin(self, author: Author, now_unix_nano: int) -> "Rollout":
        """Let the version in service serve until a step says otherwise, whatever newer ones come.

        Raises:
            RolloutStepError: It is not the first step.
        """
        is_first = not self.records and self.stage is Stage.SERVING
        self._demand(StepKind.PIN, is_first, f"version {self.serving} is in service by a step")
        return self._recorded(StepKind.PIN, author, now_unix_nano)

    def start(
        self, candidate: int, stage: Stage, share: float, author: Author, now_unix_nano: int
    ) -> "Rollout":
        """Begin to look at a candidate.

        Raises:
            RolloutStepError: There is a candidate already, it serves already, or stage and share do not agree.
        """
        self._demand(StepKind.START, self.stage is Stage.SERVING, "roll back or promote first")
        wrong = f"version {candidate} is no candidate for version {self.serving}"
        self._demand(StepKind.START, candidate >= 1 and candidate != self.serving, wrong)
        self._demand_share(StepKind.START, stage, share)
        after = replace(self, stage=stage, candidate=candidate, share=share)
        return after._recorded(StepKind.START, author, now_unix_nano)

    def move(self, stage: Stage, share: float, author: Author, now_unix_nano: int) -> "Rollout":
        """Give the candidate another stage or share.

        Raises:
            RolloutStepError: There is no candidate, or stage and share do not agree.
        """
        self._demand(StepKind.MOVE, self.stage is not Stage.SERVING, "there is no candidate")
        self._demand_share(StepKind.MOVE, stage, share)
        after = replace(self, stage=stage, share=share)
        return after._recorded(StepKind.MOVE, author, now_unix_nano)

    def promote(self, author: Author, now_unix_nano: int) -> "Rollout":
        """Let the candidate serve.

        Raises:
            RolloutStepError: There is none.
        """
        self._demand(StepKind.PROMOTE, self.stage is not Stage.SERVING, "there is no candidate")
        after = Rollout(self.model, self.candidate, previous=self.serving, records=self.records)
        return after._recorded(StepKind.PROMOTE, author, now_unix_nano)

    def rollback(self, author: Author, now_unix_nano: int) -> "Rollout":
        """Drop the candidate; where there is none, let the version before the last promotion serve again.

        Raises:
            RolloutStepError: There is neither.
        """
        if self.stage is not Stage.SERVING:
            after = replace(self, stage=Stage.SERVING, candidate=0, share=0.0)
        else:
            self._demand(StepKind.ROLLBACK, self.previous > 0, "there is nothing to go back to")
            after = Rollout(self.model, self.previous, records=self.records)
        return after._recorded(StepKind.ROLLBACK, author, now_unix_nano)

    @property
    def needed(self) -> frozenset[int]:
        """Versions to be loaded: the one before too, as a rollback must not wait."""
        return frozenset({self.serving, self.candidate, self.previous} - {0})

    def _demand(self, step: StepKind, is_fine: bool, wrong: str) -> None:
        if not is_fine:
            raise RolloutStepError(self.model, self.stage, step, wrong)

    def _demand_share(self, step: StepKind, stage: Stage, share: float) -> None:
        if stage in (Stage.CANARY, Stage.AB):
            wrong = f"share {share} of the keys in stage {stage} is not above 0 and up to 1"
            self._demand(step, 0 < share <= 1, wrong)
        else:
            self._demand(step, stage is Stage.SHADOW, f"{stage} is a stage without a candidate")
            self._demand(step, share == 0, f"a shadow answers for no keys, and not for {share}")

    def _recorded(self, step: StepKind, author: Author, now_unix_nano: int) -> "Rollout":
        record = StepRecord(
            now_unix_nano,
            step,
            author.name[:TEXT_CHARACTERS_MAX],
            author.reason[:TEXT_CHARACTERS_MAX],
            self.stage,
            self.serving,
            self.candidate,
            self.share,
        )
        return replace(self, records=(*self.records, record)[-RECORDS_MAX:])
