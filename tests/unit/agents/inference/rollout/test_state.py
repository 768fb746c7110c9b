"""Steps of a rollout: which there are from where, and what each leaves behind."""

import pytest

from bellwire.agents.inference.rollout import (
    Author,
    Rollout,
    RolloutStepError,
    Stage,
    StepKind,
    StepRecord,
)
from bellwire.agents.inference.rollout.state import RECORDS_MAX, TEXT_CHARACTERS_MAX

ADA = Author("ada", "gate passed")
FRESH = Rollout("actor", 3)


def test_the_whole_way_leaves_a_record_of_each_step() -> None:
    shadowed = FRESH.start(4, Stage.SHADOW, 0, ADA, 10)
    tried = shadowed.move(Stage.CANARY, 0.05, Author("report", "agrees"), 20)
    promoted = tried.promote(ADA, 30)
    assert (promoted.serving, promoted.candidate, promoted.previous) == (4, 0, 3)
    assert (promoted.stage, promoted.share) == (Stage.SERVING, 0)
    back = promoted.rollback(Author("ada", "it loses"), 40)
    assert (back.serving, back.previous) == (3, 0)
    assert back.records == (
        StepRecord(10, StepKind.START, "ada", "gate passed", Stage.SHADOW, 3, 4, 0),
        StepRecord(20, StepKind.MOVE, "report", "agrees", Stage.CANARY, 3, 4, 0.05),
        StepRecord(30, StepKind.PROMOTE, "ada", "gate passed", Stage.SERVING, 4, 0, 0.0),
        StepRecord(40, StepKind.ROLLBACK, "ada", "it loses", Stage.SERVING, 3, 0, 0.0),
    )


def test_rollback_drops_a_candidate_before_it_touches_what_serves() -> None:
    promoted = FRESH.start(4, Stage.AB, 0.5, ADA, 1).promote(ADA, 2)
    dropped = promoted.start(5, Stage.AB, 0.5, ADA, 3).rollback(ADA, 4)
    assert (dropped.serving, dropped.candidate, dropped.previous) == (4, 0, 3)
    assert dropped.rollback(ADA, 5).serving == 3


def test_versions_needed_are_those_a_step_could_put_in_service() -> None:
    promoted = FRESH.start(4, Stage.CANARY, 0.1, ADA, 1).promote(ADA, 2)
    assert FRESH.needed == {3}
    assert promoted.start(5, Stage.SHADOW, 0, ADA, 3).needed == {3, 4, 5}


@pytest.mark.parametrize(
    ("stage", "share"),
    [
        (Stage.SERVING, 0.0),
        (Stage.SHADOW, 0.1),
        (Stage.CANARY, 0.0),
        (Stage.CANARY, 1.1),
        (Stage.AB, -0.1),
        (Stage.AB, float("nan")),
    ],
)
def test_stage_and_share_that_do_not_agree_are_refused(stage: Stage, share: float) -> None:
    with pytest.raises(RolloutStepError, match="START is not possible"):
        FRESH.start(4, stage, share, ADA, 1)
    started = FRESH.start(4, Stage.SHADOW, 0, ADA, 1)
    with pytest.raises(RolloutStepError, match="MOVE is not possible"):
        started.move(stage, share, ADA, 2)


@pytest.mark.parametrize("candidate", [3, 0, -1])
def test_version_that_serves_or_cannot_be_is_no_candidate(candidate: int) -> None:
    with pytest.raises(RolloutStepError, match="is no candidate for version 3"):
        FRESH.start(candidate, Stage.SHADOW, 0, ADA, 1)


def test_second_candidate_is_refused_while_there_is_one() -> None:
    started = FRESH.start(4, Stage.SHADOW, 0, ADA, 1)
    with pytest.raises(RolloutStepError, match="roll back or promote first") as refused:
        started.start(5, Stage.SHADOW, 0, ADA, 2)
    assert (refused.value.model, refused.value.stage, refused.value.step) == (
        "actor",
        "SHADOW",
        "START",
    )


def test_without_a_candidate_nothing_is_moved_promoted_or_rolled_back() -> None:
    with pytest.raises(RolloutStepError, match="there is no candidate"):
        FRESH.move(Stage.CANARY, 0.1, ADA, 1)
    with pytest.raises(RolloutStepError, match="there is no candidate"):
        FRESH.promote(ADA, 1)
    with pytest.raises(RolloutStepError, match="nothing to go back to"):
        FRESH.rollback(ADA, 1)


def test_records_and_their_texts_are_bounded() -> None:
    wordy = Author("a" * 5_000, "b" * 5_000)
    rollout = FRESH.start(4, Stage.CANARY, 0.1, wordy, 0)
    assert len(rollout.records[0].author) == len(rollout.records[0].reason) == TEXT_CHARACTERS_MAX
    for number in range(RECORDS_MAX + 5):
        rollout = rollout.move(Stage.CANARY, 0.1, ADA, number)
    assert len(rollout.records) == RECORDS_MAX
    assert rollout.records[-1].time_unix_nano == RECORDS_MAX + 4


def test_a_version_is_pinned_by_the_first_step_only() -> None:
    pinned = Rollout("actor", 1).pin(Author("ada", "first"), 5)
    assert (pinned.serving, pinned.stage) == (1, Stage.SERVING)
    assert [(record.step, record.serving, record.time_unix_nano) for record in pinned.records] == [
        (StepKind.PIN, 1, 5)
    ]
    with pytest.raises(RolloutStepError, match="PIN is not possible"):
        pinned.pin(Author("ada", "again"), 6)
