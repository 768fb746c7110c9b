"""The rules policy: entries, exits, cooldown, and what it can explain."""

import dataclasses
import json
import math
from itertools import pairwise

import numpy as np
import pytest

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import BUNDLED_SERIES, EURUSD_1H
from bellwire.agents.features import Column, FeatureMatrix, FeatureRow, Observation
from bellwire.agents.tactical import (
    Action,
    Decision,
    Reason,
    RulesInputError,
    RulesPolicy,
    RulesSettings,
    Side,
)
from bellwire.wire.settings import SettingsError

TYPICAL = 0.1
QUIET = FeatureRow(0, 0, 0, 0, 0, 0, 0)
LONG = FeatureRow(1, 0, -0.1, 0.1, 0, 0.2, 0.5)  # bullish zone near, up, busy
SHORT = FeatureRow(0, 1, 0.1, 0.1, 0, -0.2, 0.5)


def observation(bar: int, row: FeatureRow, before: FeatureRow = QUIET) -> Observation:
    matrix = np.zeros((60, 7), "<f4")
    matrix[:, Column.PRICE_MOMENTUM_5] = TYPICAL
    matrix[-2], matrix[-1] = before, row
    return Observation(bar, matrix.tobytes())


def decide(policy: RulesPolicy, bar: int, row: FeatureRow, position=0.0, before=QUIET) -> Decision:
    return policy.decide(
        observation(bar, row, before), event_time_unix_nano=bar * 10, position=position
    )


def run(series_path, symbol, settings=None) -> tuple[RulesPolicy, list[Decision]]:
    """Decide every bar of a file as if each signal filled at once."""
    matrix, policy, decisions = FeatureMatrix(), RulesPolicy(settings), []
    for bar in read_ohlcv(series_path, symbol=symbol).bars:
        matrix.push(*bar.floats())
        decisions.append(
            policy.decide(
                matrix.observation(),
                event_time_unix_nano=bar.close_time_unix_nano,
                position=policy.intended_position,
            )
        )
    return policy, decisions


# ------------------------------------------------------------------ entries


@pytest.mark.parametrize(("row", "side"), [(LONG, Side.BUY), (SHORT, Side.SELL)])
def test_zone_momentum_and_volume_together_enter(row, side):
    decision = decide(RulesPolicy(), 100, row)
    assert (decision.action, decision.side) == (Action.ENTER, side)
    assert decision.reason is Reason.VOTES_AGREE
    assert (decision.bar_count, decision.event_time_unix_nano) == (100, 1000)
    assert 0.5 <= decision.strength <= 1.0
    assert 0.0 < decision.confidence <= 1.0
    assert [vote.name for vote in decision.votes] == ["zone", "momentum", "volume"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (QUIET, Reason.NO_ZONE),
        (LONG._replace(fvg_nearest_level=-4.0), Reason.NO_ZONE),
        (LONG._replace(price_momentum_5=-0.2), Reason.NO_AGREEMENT),
        (LONG._replace(price_momentum_5=0.05), Reason.NO_AGREEMENT),
        (LONG._replace(volume_ratio=0.05), Reason.VOLUME_LOW),
    ],
)
def test_one_vote_missing_holds_and_says_which(row, reason):
    decision = decide(RulesPolicy(), 100, row)
    assert (decision.action, decision.side, decision.reason) == (Action.HOLD, None, reason)
    assert (decision.strength, decision.confidence) == (0.0, 0.0)


def test_not_ready_holds_without_votes():
    policy = RulesPolicy()
    decision = policy.decide(None, event_time_unix_nano=7, position=0.0)
    assert (decision.action, decision.reason, decision.votes) == (
        Action.HOLD,
        Reason.WARMING_UP,
        (),
    )
    assert decision.event_time_unix_nano == 7
    assert policy.explain() == {"decision": None, "reason": "WARMING_UP"}


def test_cooldown_keeps_the_next_entry_six_bars_away():
    policy = RulesPolicy()
    actions = [decide(policy, bar, LONG) for bar in range(100, 107)]
    assert [d.action for d in actions] == [Action.ENTER, *[Action.HOLD] * 5, Action.ENTER]
    assert {d.reason for d in actions[1:6]} == {Reason.COOLING_DOWN}


def test_cooldown_also_follows_an_exit():
    policy = RulesPolicy()
    decide(policy, 100, QUIET, position=5.0)
    assert decide(policy, 101, SHORT, position=5.0).action is Action.EXIT
    reasons = [decide(policy, bar, SHORT).reason for bar in range(102, 108)]
    assert reasons == [*[Reason.COOLING_DOWN] * 5, Reason.VOTES_AGREE]


def test_position_is_never_added_to():
    decision = decide(RulesPolicy(), 100, LONG, position=0.5)
    assert (decision.action, decision.reason) == (Action.HOLD, Reason.IN_POSITION)


# ------------------------------------------------------------------ exits


@pytest.mark.parametrize(
    ("row", "position", "side"), [(SHORT, 3.0, Side.SELL), (LONG, -3.0, Side.BUY)]
)
def test_votes_against_the_position_close_it_whole(row, position, side):
    decision = decide(RulesPolicy(), 100, row, position)
    assert (decision.action, decision.side) == (Action.EXIT, side)
    assert decision.reason is Reason.VOTES_AGAINST
    assert (decision.strength, decision.confidence) == (1.0, 1.0)


def test_momentum_alone_does_not_close_a_position():
    row = QUIET._replace(price_momentum_5=-0.5, volume_ratio=0.9)
    assert decide(RulesPolicy(), 100, row, 1.0).reason is Reason.IN_POSITION


def test_broken_zone_behind_the_position_closes_it():
    broken = QUIET._replace(fvg_mitigation=1.0)
    decision = decide(RulesPolicy(), 100, broken, 1.0, before=LONG)
    assert (decision.side, decision.reason) == (Side.SELL, Reason.ZONE_BROKEN)
    against = decide(RulesPolicy(), 100, broken, 1.0, before=SHORT)
    assert against.reason is Reason.IN_POSITION


def test_position_is_closed_after_its_longest_hold():
    policy = RulesPolicy(RulesSettings(hold_bars_max=3))
    reasons = [decide(policy, bar, QUIET, 1.0).reason for bar in range(100, 104)]
    assert reasons == [*[Reason.IN_POSITION] * 3, Reason.HELD_LONG]


def test_hold_is_counted_anew_when_the_position_turns():
    policy = RulesPolicy(RulesSettings(hold_bars_max=3))
    decide(policy, 100, QUIET, 1.0)
    reasons = [decide(policy, bar, QUIET, -1.0).reason for bar in range(101, 105)]
    assert reasons == [*[Reason.IN_POSITION] * 3, Reason.HELD_LONG]


def test_unfilled_exit_is_repeated_only_after_its_wait():
    policy = RulesPolicy()
    decisions = [decide(policy, bar, SHORT, 1.0) for bar in range(100, 105)]
    exit_, hold = Action.EXIT, Action.HOLD
    assert [d.action for d in decisions] == [exit_, hold, exit_, hold, exit_]
    assert decisions[1].reason is Reason.EXIT_PENDING


# ------------------------------------------------------------------ inputs and explanation


def test_same_observation_again_returns_the_same_decision_and_changes_nothing():
    policy = RulesPolicy()
    first = decide(policy, 100, LONG)
    assert decide(policy, 100, LONG) is first
    assert decide(policy, 101, LONG).reason is Reason.COOLING_DOWN


def test_older_observation_is_refused():
    policy = RulesPolicy()
    decide(policy, 100, LONG)
    with pytest.raises(RulesInputError, match="bar_count is 99, expected more than 100"):
        decide(policy, 99, LONG)


@pytest.mark.parametrize("position", [math.nan, math.inf])
def test_position_that_is_no_number_is_refused(position):
    with pytest.raises(RulesInputError, match="position"):
        decide(RulesPolicy(), 100, LONG, position)


@pytest.mark.parametrize(
    "field",
    [
        {"momentum_factor": 0.0},
        {"zone_near_moves": -1.0},
        {"volume_min": 1.0},
        {"cooldown_bars": -1},
        {"hold_bars_max": 0},
    ],
)
def test_setting_outside_its_range_is_refused(field):
    with pytest.raises(SettingsError, match=next(iter(field))):
        RulesSettings(**field)


def test_explanation_is_json_and_holds_features_votes_and_thresholds():
    policy = RulesPolicy()
    decision = decide(policy, 100, LONG)
    explained = json.loads(json.dumps(policy.explain(), allow_nan=False))
    assert explained["decision"] == "ENTER"
    assert explained["side"] == "BUY"
    assert explained["reason"] == "VOTES_AGREE"
    assert explained["confidence"] == decision.confidence
    assert explained["cooldown_bars_left"] == 6
    assert set(explained["features"]) == set(FeatureRow._fields)
    assert explained["features"]["price_momentum_5"] == pytest.approx(0.2)
    assert [vote["name"] for vote in explained["votes"]] == ["zone", "momentum", "volume"]
    assert explained["settings"] == dataclasses.asdict(RulesSettings())


# ------------------------------------------------------------------ on real bars


@pytest.mark.parametrize("series", BUNDLED_SERIES, ids=lambda series: series.symbol)
def test_real_bars_give_a_signal_every_ten_to_forty_bars_on_both_sides(series):
    _, decisions = run(series.path, series.symbol)
    signals = [d for d in decisions if d.action is not Action.HOLD]
    assert 10 <= len(decisions) / len(signals) <= 40
    entries = [d.side for d in signals if d.action is Action.ENTER]
    assert min(entries.count(Side.BUY), entries.count(Side.SELL)) > len(entries) / 4
    assert all(d.reason is Reason.WARMING_UP for d in decisions[:79])


def test_same_bars_give_the_same_decisions_and_other_settings_do_not():
    first, again = run(EURUSD_1H.path, "EURUSD"), run(EURUSD_1H.path, "EURUSD")
    assert first[1] == again[1]
    assert first[0].explain() == again[0].explain()
    strict = run(EURUSD_1H.path, "EURUSD", RulesSettings(momentum_factor=3.0))
    assert strict[1] != first[1]


def test_entries_and_exits_alternate_when_every_signal_fills():
    _, decisions = run(EURUSD_1H.path, "EURUSD")
    signals = [d for d in decisions if d.action is not Action.HOLD]
    for earlier, later in pairwise(signals):
        assert earlier.action is not later.action
        if earlier.action is Action.ENTER:
            assert earlier.side is not later.side
            assert later.bar_count - earlier.bar_count <= RulesSettings().hold_bars_max + 1
        else:
            assert later.bar_count - earlier.bar_count >= RulesSettings().cooldown_bars
