"""The rules policy on random bars and random positions."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.agents.features import FeatureMatrix
from bellwire.agents.tactical import Action, Decision, RulesPolicy, RulesSettings, Side

BAR_NANOS = 3_600_000_000_000


@st.composite
def markets(draw):
    """Draw bars as o, h, l, c, v and the position the policy is told on each."""
    bars = draw(st.integers(1, 200))
    random = draw(st.randoms(use_true_random=False))
    price, result = 1000, []
    for _ in range(bars):
        open_ = max(50, price + random.randint(-5, 5))
        price = max(50, open_ + random.choice([-40, -8, -3, 0, 3, 8, 40]))
        high = max(open_, price) + random.randint(0, 4)
        low = min(open_, price) - random.randint(0, 4)
        bar = (float(open_), float(high), float(low), float(price), float(random.randint(0, 90)))
        result.append((bar, random.choice([-2.0, 0.0, 0.0, 1.0])))
    return result


loose = RulesSettings(zone_near_moves=5.0, momentum_factor=0.5, volume_min=0.0, cooldown_bars=2)


def decide_all(market, rules: RulesSettings) -> tuple[RulesPolicy, list[Decision]]:
    matrix, policy, decisions = FeatureMatrix(), RulesPolicy(rules), []
    for number, (bar, position) in enumerate(market):
        matrix.push(*bar)
        decisions.append(
            policy.decide(
                matrix.observation(), event_time_unix_nano=number * BAR_NANOS, position=position
            )
        )
    return policy, decisions


@settings(max_examples=60, deadline=None)
@given(markets(), st.sampled_from([loose, RulesSettings()]))
def test_decisions_are_deterministic_sane_and_never_before_ready(market, rules):
    policy, decisions = decide_all(market, rules)
    assert decisions == decide_all(market, rules)[1]
    last_signal = -rules.cooldown_bars
    for number, (decision, (_, position)) in enumerate(zip(decisions, market, strict=True)):
        assert decision.event_time_unix_nano == number * BAR_NANOS
        assert 0.0 <= decision.confidence <= 1.0
        assert 0.0 <= decision.strength <= 1.0
        assert (decision.side is None) == (decision.action is Action.HOLD)
        if number < 79:
            assert decision.action is Action.HOLD
        if decision.action is Action.ENTER:
            assert position == 0.0
            assert number - last_signal >= rules.cooldown_bars
        if decision.action is Action.EXIT:
            assert decision.side is (Side.SELL if position > 0 else Side.BUY)
            assert position != 0.0
        if decision.action is not Action.HOLD:
            last_signal = number
    json.dumps(policy.explain(), allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(markets(), st.integers(0, 199))
def test_later_bars_never_change_an_earlier_decision(market, cut):
    whole = decide_all(market, loose)[1]
    assert decide_all(market[:cut], loose)[1] == whole[:cut]
