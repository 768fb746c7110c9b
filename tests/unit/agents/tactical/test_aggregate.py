import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.agents.tactical.actions import (
    EntryAction,
    FvgAction,
    JointAction,
    MomentumAction,
    read_probabilities,
)
from bellwire.agents.tactical.aggregate import (
    AggregationSettings,
    MoveReason,
    decide_move,
    next_position,
    tally_votes,
    target_of,
)
from bellwire.agents.tactical.synergy import Synergy, SynergyType
from bellwire.wire.settings import SettingsError

VOTE = AggregationSettings(rule="vote")
RULES = [AggregationSettings(), VOTE]
DOWN, NONE, UP = 0, 1, 2


def joint(fvg, momentum, entry=2, sure=(1.0, 1.0, 1.0)):
    return JointAction(FvgAction(fvg), MomentumAction(momentum), EntryAction(entry), sure)


def event(kind, direction):
    return Synergy(SynergyType(f"TYPE_{kind}"), direction, 0.9)


# Scores computed by hand: weight of fvg * its confidence + weight of momentum * its confidence.
TABLE = [
    # fvg, momentum, confidences, event, direction, score, reason
    (UP, UP, (0.7, 0.6), None, 1, 0.65, "MOVED"),
    (UP, UP, (0.7, 0.59), None, 1, 0.645, "BELOW_THRESHOLD"),
    (DOWN, DOWN, (0.9, 0.8), None, -1, 0.85, "MOVED"),
    (NONE, NONE, (0.9, 0.8), None, 0, 0.85, "HOLD_VOTED"),
    (UP, DOWN, (0.8, 0.8), None, 0, 0.4, "TIE"),
    (UP, DOWN, (0.9, 0.8), None, 1, 0.45, "BELOW_THRESHOLD"),
    (UP, NONE, (1.0, 0.5), None, 1, 0.5, "BELOW_THRESHOLD"),
    (UP, UP, (0.8, 0.4), event(1, 1), 1, 0.65, "MOVED"),
    (UP, UP, (0.8, 0.4), event(2, 1), 1, 0.6, "BELOW_THRESHOLD"),
    (UP, UP, (0.8, 0.4), event(3, 1), 1, 0.55, "BELOW_THRESHOLD"),
    (UP, UP, (0.4, 0.8), event(3, 1), 1, 0.65, "MOVED"),
    (UP, UP, (0.9, 0.5), event(4, 1), 1, 0.7, "MOVED"),
    (DOWN, DOWN, (0.9, 0.9), event(2, 1), -1, 0.63, "AGAINST_EVENT"),
    (DOWN, DOWN, (0.95, 0.95), event(2, 1), -1, 0.665, "MOVED"),
    (DOWN, DOWN, (0.9, 0.9), event(2, -1), -1, 0.9, "MOVED"),
    (UP, UP, (0.6, 0.6), event(2, -1), 1, 0.42, "BELOW_THRESHOLD"),
    (NONE, NONE, (0.9, 0.9), event(2, 1), 0, 0.9, "HOLD_VOTED"),
    (UP, DOWN, (0.6, 1.0), event(1, 1), 0, 0.375, "TIE"),
]


@pytest.mark.parametrize(("fvg", "momentum", "sure", "synergy", "direction", "score", "why"), TABLE)
def test_votes_are_counted_as_by_hand(fvg, momentum, sure, synergy, direction, score, why):
    tally = tally_votes(joint(fvg, momentum, sure=(*sure, 0.5)), synergy, VOTE)
    assert tally.direction == direction
    assert tally.score == pytest.approx(score)
    assert tally.reason == why


@pytest.mark.parametrize("wanted", list(itertools.product(range(3), repeat=3)))
@pytest.mark.parametrize("settings", RULES, ids=["target", "vote"])
def test_every_joint_action_moves_to_the_right_side(wanted, settings):
    fvg, momentum, entry = wanted
    both = (fvg - 1) + (momentum - 1)
    move = decide_move(joint(*wanted), 0.0, settings=settings)
    agreed = fvg - 1 if fvg == momentum else 0
    expected = agreed if settings is VOTE else (both > 0) - (both < 0)
    assert move.position == expected * (0.0, 0.5, 1.0)[entry]
    assert (move.reason is MoveReason.MOVED) == (move.position != 0.0)


@pytest.mark.parametrize(
    ("position", "target", "entry", "expected"),
    [(0.0, 1, 1, 0.5), (0.5, 1, 1, 0.75), (1.0, -1, 1, 0.0), (1.0, -1, 2, -1.0), (0.3, -1, 0, 0.3)],
)
def test_entry_takes_its_share_of_the_way(position, target, entry, expected):
    assert next_position(position, target, EntryAction(entry)) == pytest.approx(expected)


rows = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3).map(
    lambda row: [value / sum(row) for value in row]
)


@given(
    rows,
    rows,
    st.lists(rows, min_size=2, max_size=2),
    st.floats(-1.0, 1.0),
    st.sampled_from(RULES),
    st.sampled_from([None, event(1, 1), event(3, -1)]),
)
def test_entry_never_changes_the_side(fvg, momentum, entries, position, settings, synergy):
    sides = set()
    for entry in entries:
        actions = read_probabilities(np.array([fvg, momentum, entry], np.float32))
        move = decide_move(actions, position, synergy, settings)
        assert -1.0 <= move.position <= 1.0
        if move.reason is MoveReason.MOVED:
            sides.add(move.position > position)
            assert abs(move.position - position) >= settings.change_min / 2
        else:
            assert move.position == position
    assert len(sides) <= 1


@given(rows, rows, st.floats(-1.0, 1.0), st.sampled_from(RULES))
def test_the_same_said_bar_after_bar_reaches_its_target_in_few_orders(
    fvg, momentum, position, settings
):
    actions = read_probabilities(np.array([fvg, momentum, [0.1, 0.8, 0.1]], np.float32))
    moves = []
    for _ in range(10):
        move = decide_move(actions, position, settings=settings)
        moves.append(move)
        position = move.position
    assert moves[-1].reason is not MoveReason.MOVED
    if any(move.reason is MoveReason.MOVED for move in moves):
        assert position == moves[0].target


def test_the_target_is_cut_to_a_whole_position():
    assert [target_of(joint(f, m)) for f, m in ((2, 2), (2, 1), (2, 0), (0, 1), (0, 0))] == [
        1,
        1,
        0,
        -1,
        -1,
    ]


def test_agents_that_hold_close_a_position_by_target_but_not_by_vote():
    held = joint(NONE, NONE, entry=2)
    assert decide_move(held, 1.0).position == 0.0
    assert decide_move(held, 1.0, settings=VOTE).position == 1.0


@pytest.mark.parametrize(
    "wrong", [{"rule": "loud"}, {"threshold": 0.0}, {"counter_penalty": 1.1}, {"change_min": 0.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AggregationSettings(**wrong)
