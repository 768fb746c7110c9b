import asyncio
import json
from decimal import Decimal

import numpy as np
import pytest

from bellwire.agents.features import InvalidBarError
from bellwire.agents.inference import (
    EngineFailedError,
    Fallback,
    FallbackReason,
    InferenceResult,
)
from bellwire.agents.tactical import series as module
from bellwire.agents.tactical.agent import RulesAgent
from bellwire.agents.tactical.followed import TooManySymbolsError
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.execution.gateway import RiskGateway
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1 import risk_pb2, signal_pb2
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message

FIRST = 80  # bars until the first observation
LONG = ((0.1, 0.2, 0.7), (0.1, 0.3, 0.6), (0.1, 0.8, 0.1))  # both up, half of the way now
SHORT = ((0.9, 0.1, 0.0), (0.9, 0.1, 0.0), (0.1, 0.1, 0.8))  # both down, all of it
FLAT = ((0.1, 0.9, 0.0), (0.1, 0.9, 0.0), (0.1, 0.1, 0.8))
WAIT = ((0.0, 0.1, 0.9), (0.0, 0.1, 0.9), (0.9, 0.1, 0.0))
NOT_FINITE = ((float("nan"),) * 3,) * 3


class Saying:
    """An endpoint that says one thing after the other, the last one for ever; exceptions are raised."""

    def __init__(self, *answers, fallbacks=()):
        self.answers = list(answers)
        self.fallbacks = fallbacks
        self.requests = []

    async def infer(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        table = np.array([answer], np.float32)
        return InferenceResult(
            {"probabilities": table},
            answered_by="tactical:7",
            quantization="int8-static",
            fallbacks=self.fallbacks,
        )

    def manifests(self):
        return ()


class Hanging(Saying):
    async def infer(self, request):
        await asyncio.Event().wait()


def message(bar):
    return new_message(
        data=bar.SerializeToString(),
        type=Bar.DESCRIPTOR.full_name,
        key=bar.symbol,
        time_unix_nano=bar.close_time_unix_nano,
    )


def signal_of(item):
    assert isinstance(item.payload, Signal)
    return item.payload


async def play(bars, endpoint=None, agent=None, **settings):
    harness = AgentHarness(agent or TacticalAgent(settings, endpoint=endpoint))
    await harness.start()
    signals = []
    for bar in bars:
        signals += [signal_of(item) for item in await harness.feed("bars.1h", message(bar))]
    return harness, signals


async def explain(harness):
    return await harness.call("explain_last_signal", {"symbol": "EURUSD"})


async def test_positions_become_targets_and_their_end_an_exit(real_bars):
    endpoint = Saying(LONG, LONG, WAIT, SHORT, FLAT)
    _, signals = await play(real_bars[: FIRST + 5], endpoint)
    asked = [(each.action, each.side, each.target_qty) for each in signals]
    assert asked == [
        (signal_pb2.SIGNAL_ACTION_TARGET, signal_pb2.SIDE_BUY, "5000000"),
        (signal_pb2.SIGNAL_ACTION_TARGET, signal_pb2.SIDE_BUY, "7500000"),
        (signal_pb2.SIGNAL_ACTION_TARGET, signal_pb2.SIDE_SELL, "10000000"),
        (signal_pb2.SIGNAL_ACTION_EXIT, signal_pb2.SIDE_BUY, ""),
    ]


async def test_the_model_sees_the_position_its_signals_have_led_to(real_bars):
    endpoint = Saying(LONG, LONG, SHORT, FLAT)
    await play(real_bars[: FIRST + 4], endpoint)
    held = [request.inputs["position"].item() for request in endpoint.requests]
    assert held == [0.0, 0.5, 0.75, -1.0, 0.0]
    assert {request.inputs["observation"].shape for request in endpoint.requests} == {(1, 420)}
    newest = real_bars[FIRST + 3].close_time_unix_nano
    assert endpoint.requests[-1].cache_key == f"EURUSD/1h/{newest}"
    assert endpoint.requests[-1].key == "EURUSD"


async def test_signals_say_which_model_decided_and_why(real_bars):
    _, (signal,) = await play(real_bars[:FIRST], Saying(LONG))
    bar = real_bars[FIRST - 1]
    assert signal.signal_id == f"tactical-1h.EURUSD.{bar.close_time_unix_nano}"
    assert signal.strategy_id == "tactical-1h"
    model = signal.model
    assert (model.name, model.version, model.quantization) == ("tactical", "7", "int8-static")
    assert signal.rationale == (
        "MOVED: fvg LONG 0.700, momentum UP 0.600, entry EXECUTE_NOW 0.800; target 1"
    )
    assert signal.confidence == pytest.approx(0.65)
    assert signal.strength == 0.5
    assert signal.decision_px == bar.close
    assert signal.valid_until_unix_nano - bar.close_time_unix_nano == 3_600 * 10**9


@pytest.mark.parametrize(("enabled", "reason"), [(True, "AGAINST_EVENT"), (False, "MOVED")])
async def test_a_vote_against_a_synergy_event_needs_more(real_bars, enabled, reason):
    # Bar 88 completes nwrqk, mlmi, fvg upwards; 0.9 for short is 0.63 then, below the threshold.
    endpoint = Saying(*[WAIT] * (89 - FIRST), SHORT)
    settings = {"aggregation": {"rule": "vote"}, "synergy": {"enabled": enabled}}
    harness, signals = await play(real_bars[:88], endpoint, **settings)
    assert signals == []
    signals = await harness.feed("bars.1h", message(real_bars[88]))
    assert (await explain(harness))["rationale"].startswith(reason)
    assert len(signals) == (not enabled)


async def test_fall_backs_behind_the_endpoint_stand_in_the_rationale(real_bars):
    endpoint = Saying(LONG, fallbacks=(Fallback("tactical:8", FallbackReason.TIMEOUT),))
    _, (signal,) = await play(real_bars[:FIRST], endpoint)
    assert signal.rationale.endswith("; after tactical:8 TIMEOUT")


async def test_a_model_that_was_written_is_loaded_and_decides(real_bars, model_dir):
    agent = TacticalAgent({"model_dir": str(model_dir)})
    harness, signals = await play(real_bars, agent=agent)
    assert signals
    assert {(s.model.name, s.model.version, s.model.quantization) for s in signals} == {
        ("tactical", "3", "none")
    }
    _, again = await play(real_bars, agent=TacticalAgent({"model_dir": str(model_dir)}))
    assert signals == again
    explained = json.loads(json.dumps(await explain(harness)))
    assert explained["bars"] == len(real_bars)
    assert explained["last_signal"] == signals[-1].signal_id
    assert explained["decided_by"] == "tactical"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (Saying(EngineFailedError("tactical:7", "out of memory")), "ENGINE_FAILED"),
        (Saying(NOT_FINITE), "TENSOR_INVALID"),
        (Saying(((1.0, 0.0),) * 3), "TENSOR_INVALID"),
        (Saying(RuntimeError("driver hiccup")), "INTERNAL"),
        (Hanging(), "ENGINE_TIMEOUT"),
        (None, "MODEL_INVALID"),
    ],
)
async def test_without_an_answer_the_rules_decide_as_they_would_alone(
    real_bars, endpoint, reason, tmp_path
):
    settings = {"model_dir": str(tmp_path), "infer_seconds_max": 0.001}
    _, signals = await play(real_bars, endpoint, **settings)
    rules = AgentHarness(RulesAgent())
    alone = []
    for bar in real_bars:
        alone += [signal_of(item) for item in await rules.feed("bars.1h", message(bar))]
    times = [signal.decision_time_unix_nano for signal in signals]
    assert times
    assert times == [signal.decision_time_unix_nano for signal in alone]
    assert [signal.side for signal in signals] == [signal.side for signal in alone]
    assert all(f"; after tactical {reason}" in signal.rationale for signal in signals)
    assert all(signal.rationale.startswith("rules ") for signal in signals)
    assert {signal.model.name for signal in signals} == {"rules-fvg"}


async def test_where_the_rules_are_switched_off_it_holds_and_says_why(real_bars, tmp_path):
    harness, signals = await play(real_bars, model_dir=str(tmp_path), fallback="hold")
    assert signals == []
    explained = await explain(harness)
    assert explained["rationale"] == "HOLD; after tactical MODEL_INVALID"
    assert (explained["decided_by"], explained["position"]) == ("hold", 0.0)


async def test_where_the_rules_fail_too_it_holds_and_says_both(real_bars, tmp_path):
    harness, _ = await play(real_bars[:FIRST], model_dir=str(tmp_path))
    harness.agent._desk.newest("EURUSD")[1].position = float(
        "nan"
    )  # the one thing the rules refuse
    await harness.feed("bars.1h", message(real_bars[FIRST]))
    explained = await explain(harness)
    assert explained["rationale"] == (
        "HOLD; after tactical MODEL_INVALID; after rules RULES_INPUT_INVALID"
    )


async def test_the_model_decides_again_on_the_bar_after_a_failure(real_bars):
    endpoint = Saying(EngineFailedError("tactical:7", "once"), LONG)
    _, signals = await play(real_bars[: FIRST + 1], endpoint)
    assert signals[-1].model.version == "7"


async def test_a_vote_trades_by_confidence_and_never_more_than_a_quarter_above(real_bars):
    sure = ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0), (0.0, 0.0, 1.0))
    unsure = ((0.1, 0.2, 0.7), (0.1, 0.3, 0.6), (0.0, 0.0, 1.0))
    for answer, quantity in ((sure, 12_500_000), (unsure, 8_125_000)):
        _, (signal,) = await play(real_bars[:FIRST], Saying(answer), aggregation={"rule": "vote"})
        assert float(signal.target_qty) == pytest.approx(quantity, rel=1e-6)
        assert Decimal(signal.target_qty) % 1 == 0


async def test_the_risk_gateway_takes_every_signal(real_bars):
    _, signals = await play(real_bars[: FIRST + 5], Saying(LONG, SHORT, LONG, FLAT))
    gateway = RiskGateway()
    verdicts = [
        gateway.decide(
            signal,
            reference_px=Decimal(signal.decision_px),
            now_unix_nano=signal.decision_time_unix_nano,
        ).decision
        for signal in signals
    ]
    assert [v.verdict for v in verdicts[:2]] == [risk_pb2.RISK_VERDICT_ACCEPT] * 2
    # Orders are not filled here, so that there is nothing to close.
    assert all(v.reason_code != "SIGNAL_INVALID" for v in verdicts)


async def test_a_bar_delivered_again_gives_the_signal_it_gave_and_asks_nobody(real_bars):
    endpoint = Saying(LONG, SHORT)
    harness, signals = await play(real_bars[: FIRST + 1], endpoint)
    (again,) = await harness.feed("bars.1h", message(real_bars[FIRST - 1]), attempt=1)
    assert again.payload == signals[0]
    assert len(endpoint.requests) == 2


async def test_symbols_share_neither_history_nor_position(real_bars):
    both = []
    for bar in real_bars[:FIRST]:
        other = Bar()
        other.CopyFrom(bar)
        other.symbol = "OTHER"
        both += [bar, other]
    endpoint = Saying(LONG)
    _, signals = await play(both, endpoint)
    assert [signal.symbol for signal in signals] == ["EURUSD", "OTHER"]
    assert [request.inputs["position"].item() for request in endpoint.requests] == [0.0, 0.0]


async def test_intervals_of_a_symbol_share_neither_history_nor_position(real_bars):
    both = []
    for bar in real_bars[:FIRST]:
        other = Bar()
        other.CopyFrom(bar)
        other.interval = "15m"
        both += [bar, other]
    endpoint = Saying(LONG)
    harness, signals = await play(both, endpoint)
    assert [signal.strategy_id for signal in signals] == ["tactical-1h", "tactical-15m"]
    assert [request.inputs["position"].item() for request in endpoint.requests] == [0.0, 0.0]
    close = real_bars[FIRST - 1].close_time_unix_nano
    keys = [request.cache_key for request in endpoint.requests]
    assert keys == [f"EURUSD/1h/{close}", f"EURUSD/15m/{close}"]
    explained = await harness.call("explain_last_signal", {"symbol": "EURUSD", "interval": "15m"})
    assert explained["last_signal"] == signals[1].signal_id
    assert (explained["interval"], explained["bars"]) == ("15m", FIRST)


async def test_symbols_and_remembered_signals_are_bounded(real_bars, monkeypatch):
    monkeypatch.setattr(module, "SIGNALS_KEPT_MAX", 2)
    harness, signals = await play(real_bars, Saying(*[LONG, SHORT] * 20), symbols_max=1)
    assert len(signals) > 2
    assert len(harness.agent._desk.newest("EURUSD")[1].signals) == 2
    other = Bar()
    other.CopyFrom(real_bars[0])
    other.symbol = "OTHER"
    with pytest.raises(TooManySymbolsError):
        await harness.feed("bars.1h", message(other))


async def test_a_bar_no_feature_can_be_computed_from_is_refused_and_changes_nothing(real_bars):
    harness, _ = await play(real_bars[:1], Saying(LONG))
    bad = Bar()
    bad.CopyFrom(real_bars[1])
    bad.high = "0.5"
    with pytest.raises(InvalidBarError):
        await harness.feed("bars.1h", message(bad))
    assert (await explain(harness))["bars"] == 1


async def test_watermarks_are_forwarded_as_its_own_stage():
    harness = AgentHarness(TacticalAgent(endpoint=Saying(FLAT)))
    (item,) = await harness.feed_watermark("bars.1h", "bars", "EURUSD", 7, end=True)
    assert isinstance(item.payload, Watermark)
    assert (item.topic, item.payload.stage) == ("signals.tactical", "signals")


async def test_the_tool_says_which_symbols_it_knows(real_bars):
    harness, _ = await play(real_bars[:1], Saying(FLAT))
    assert (await explain(harness))["rationale"] == "WARMING_UP"
    other = await harness.call("explain_last_signal", {"symbol": "IBM"})
    assert other == {"symbol": "IBM", "known": False, "symbols": ["EURUSD"]}


async def test_the_drift_of_each_interval_is_reported_apart(real_bars):
    both = []
    for bar in real_bars[: FIRST + 2]:
        quick = Bar()
        quick.CopyFrom(bar)
        quick.interval = "5m"
        both += [quick, bar]
    harness, _ = await play(both[:-1], agent=TacticalAgent())
    for asked, interval, bars in (("", "5m", 3), ("1h", "1h", 2), ("5m", "5m", 3)):
        report = await harness.call("drift_report", {"symbol": "EURUSD", "interval": asked})
        assert (report["interval"], report["columns"][0]["bars"]) == (interval, bars)


async def test_the_tool_tells_the_position_before_and_after_the_newest_signal(real_bars):
    harness, signals = await play(real_bars[: FIRST + 3], Saying(LONG, SHORT, WAIT))
    assert len(signals) == 2
    explained = await explain(harness)
    assert (explained["position_before"], explained["position"]) == (0.5, -1.0)
