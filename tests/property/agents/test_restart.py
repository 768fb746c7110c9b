"""A restart changes no signal: whatever the bars, wherever it falls, however many bars come again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.feed import to_message
from bellwire.agents.inference import EngineFailedError, InferenceRequest, InferenceResult
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.tactical.agent import RulesAgent
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime import Agent
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.message import new_message

BARS, SIGNALS = "bars.1h", "signals.tactical"
SERIES = read_ohlcv(EURUSD_1H.path, symbol="EURUSD").bars
EAGER = {"momentum_factor": 0.3, "volume_min": 0.0, "cooldown_bars": 8, "hold_bars_max": 9}


class Fickle:
    """A model whose answer follows from its inputs alone, and that fails on some bars."""

    def __init__(self, failing: frozenset[int]) -> None:
        self.failing = failing

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        seed = sha256(b"".join(each.tobytes() for each in request.inputs.values())).digest()
        if seed[0] in self.failing:
            raise EngineFailedError("fickle:1", "its byte came up")
        table = np.zeros((1, 3, 3), np.float32)
        for row in range(3):
            table[0, row, seed[1 + row] % 3] = 1.0
        return InferenceResult({"probabilities": table}, "fickle:1")

    def manifests(self) -> tuple[ModelManifest, ...]:
        return ()


@dataclass(frozen=True)
class Course:
    """A stream of bars, where the process ends, and from where the bars come again."""

    bars: Sequence[Bar] = field(repr=False)
    end: int
    again: int


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Draw a stretch of real bars of one symbol or two, in one interval or two, taking turns."""
    first = draw(st.integers(0, len(SERIES) - 400))
    count = draw(st.integers(90, 220))
    names = draw(st.sampled_from([("EURUSD",), ("EURUSD", "OTHER")]))
    intervals = draw(st.sampled_from([("1h",), ("1h", "15m")]))
    bars = []
    for number, recorded in enumerate(SERIES[first : first + count]):
        for name in names:
            for interval in intervals:
                bar = to_message(recorded, number)
                bar.symbol, bar.interval = name, interval
                bars.append(bar)
    end = draw(st.integers(1, len(bars) - 1))
    again = draw(st.sampled_from([0, 0, 0, 1, 7, 60]))
    return Course(bars, end, max(0, end - again))


def message(bar: Bar) -> Message:
    return new_message(
        data=bar.SerializeToString(),
        type=Bar.DESCRIPTOR.full_name,
        key=bar.symbol,
        time_unix_nano=bar.close_time_unix_nano,
    )


async def play(harness: AgentHarness, bars: Sequence[Bar]) -> list[Signal]:
    found = []
    for bar in bars:
        for item in await harness.feed(BARS, message(bar)):
            assert isinstance(item.payload, Signal)
            found.append(item.payload)
    return found


async def compared(make: Callable[[], Agent], course: Course) -> None:
    """Play without a restart, and with one that loses all memory and the last settlements."""
    whole = AgentHarness(make())
    expected = await play(whole, course.bars)
    before = AgentHarness(make())
    first = await play(before, course.bars[: course.end])
    log = {BARS: before.log[BARS][: course.again], SIGNALS: before.log.get(SIGNALS, [])}
    after = AgentHarness(make(), log=log)
    second = await play(after, course.bars[course.again :])
    since = {
        (bar.symbol, bar.interval, bar.close_time_unix_nano) for bar in course.bars[course.again :]
    }
    assert first == expected[: len(first)]
    assert second == [
        signal
        for signal in expected
        if (signal.symbol, signal.strategy_id.rpartition("-")[2], signal.decision_time_unix_nano)
        in since
    ]
    assert await known(after) == await known(whole)


async def known(harness: AgentHarness) -> dict[str, object]:
    """Return what the agent says of itself and does not depend on which series had a bar since."""
    told = await harness.call("explain_last_signal", {"symbol": "EURUSD"})
    assert isinstance(told, dict)
    return {name: told[name] for name in ("bars", "position_before", "position", "last_signal")}


@pytest.mark.parametrize("failing", [None, frozenset(range(200))])
def test_no_bar_is_one_too_many_to_be_remembered(failing: frozenset[int] | None) -> None:
    """Restart before every bar of a stretch; what follows within the longest memory of the rules is equal."""

    def make() -> Agent:
        settings = {"rules": EAGER}
        return (
            TacticalAgent(settings, endpoint=Fickle(failing)) if failing else RulesAgent(settings)
        )

    async def all_restarts() -> None:
        bars = [to_message(bar, number) for number, bar in enumerate(SERIES[1_000:1_160])]
        whole = AgentHarness(make())
        expected = await play(whole, bars)
        assert len(expected) > 5
        for end in range(80, len(bars) - 1):
            stop = min(end + 12, len(bars))
            close = bars[end].close_time_unix_nano
            signals = [each for each in whole.log[SIGNALS] if each.time_unix_nano < close]
            log = {BARS: whole.log[BARS][:end], SIGNALS: signals}
            after = await play(AgentHarness(make(), log=log), bars[end:stop])
            last = bars[stop - 1].close_time_unix_nano
            assert after == [
                each for each in expected if close <= each.decision_time_unix_nano <= last
            ]

    asyncio.run(all_restarts())


@settings(max_examples=20, deadline=None)
@given(courses())
def test_rules_signal_as_if_they_had_never_been_away(course: Course) -> None:
    asyncio.run(compared(lambda: RulesAgent({"rules": EAGER}), course))


@settings(max_examples=20, deadline=None)
@given(courses(), st.frozensets(st.integers(0, 255), max_size=200))
def test_a_model_and_the_rules_in_its_place_signal_as_if_they_had_never_been_away(
    course: Course, failing: frozenset[int]
) -> None:
    def make() -> Agent:
        return TacticalAgent({"rules": EAGER}, endpoint=Fickle(failing))

    asyncio.run(compared(make, course))


@pytest.mark.parametrize(
    "make",
    [
        lambda **settings: RulesAgent({"rules": EAGER, **settings}),
        lambda **settings: TacticalAgent(settings, endpoint=Fickle(frozenset())),
    ],
    ids=["rules", "tactical"],
)
def test_four_hundred_bars_are_enough_for_equal_signals(make: Callable[..., Agent]) -> None:
    """What is older, only the mean of the volume knows, and not in the numbers a model sees."""

    async def restart() -> None:
        bars = [to_message(bar, number) for number, bar in enumerate(SERIES[2_000:2_700])]
        await play(before := AgentHarness(make()), bars[:650])
        after = AgentHarness(make(recover_messages_max=400), log=before.log)
        expected = await play(before, bars[650:])
        assert len(expected) > 3
        assert await play(after, bars[650:]) == expected

    asyncio.run(restart())
