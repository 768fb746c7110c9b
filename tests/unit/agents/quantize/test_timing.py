"""How fast two models are."""

import numpy as np
import pytest

from bellwire.agents.quantize.timing import Speed, TimingSettings, measure

OBSERVATIONS = np.zeros((10, 420), "f4")
SETTINGS = TimingSettings(rounds=2, rows_per_round=256)


class Bench:
    """Two models and the clock that they move."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[tuple[str, int]] = []

    def model(self, name, nanos_per_row):
        def answer(observations, positions):
            assert len(observations) == len(positions)
            self.log.append((name, len(observations)))
            self.now += nanos_per_row * len(observations)
            return []

        return answer

    def clock(self):
        return self.now


def test_speeds_are_those_of_the_clock():
    bench = Bench()
    speeds = measure(
        bench.model("slow", 2_000),
        bench.model("quick", 500),
        OBSERVATIONS,
        SETTINGS,
        clock=bench.clock,
    )
    assert speeds == (Speed(2.0, 500_000.0, 500_000.0), Speed(0.5, 2_000_000.0, 2_000_000.0))


def test_both_are_asked_equally_often_and_take_turns_in_being_first():
    bench = Bench()
    measure(bench.model("a", 1), bench.model("b", 1), OBSERVATIONS, SETTINGS, clock=bench.clock)
    firsts = [
        name
        for (name, batch), (before, _) in zip(bench.log[7:], bench.log[6:], strict=False)
        if batch == 256 and name != before
    ]
    assert firsts.count("a") > 0
    assert firsts.count("b") > 0
    for batch in (1, 64, 256):
        asked = [name for name, rows in bench.log if rows == batch]
        assert asked.count("a") == asked.count("b")
    single = [name for name, rows in bench.log[6:] if rows == 1]
    assert single[0] == "a"
    assert single[len(single) // 2] == "b"


def test_a_clock_that_stands_still_divides_nothing_by_zero():
    bench = Bench()
    quick = bench.model("a", 0)
    speed, _ = measure(quick, quick, OBSERVATIONS, SETTINGS, clock=bench.clock)
    assert speed.one_us_p50 == pytest.approx(0.001)
