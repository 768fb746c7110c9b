"""The order of measurements."""

from itertools import groupby

from tests.benchmarks.scenario import DURATIONS_QUICK
from tests.benchmarks.session import Plan


def test_systems_take_turns_and_each_round_begins_with_another_one():
    plan = Plan(["latency-1k"], ["a", "b", "c"], 4, DURATIONS_QUICK)
    rounds = [
        "".join(peer for _, _, peer in steps)
        for _, steps in groupby(plan.steps(), key=lambda step: step[0])
    ]
    assert rounds == ["abc", "bca", "cab", "abc"]


def test_every_system_meets_every_scenario_in_every_round():
    plan = Plan(["latency-1k", "throughput-100"], ["a", "b"], 3, DURATIONS_QUICK)
    steps = list(plan.steps())
    assert len(steps) == len(set(steps)) == plan.measurements == 12
