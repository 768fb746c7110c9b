"""The order of measurements."""

from itertools import groupby

from tests.benchmarks.scenario import DURATIONS_QUICK, MEMORY
from tests.benchmarks.session import REFERENCE_EVERY, Plan, with_reference

A, B, C = "nats", "grpc_unary", "bellwire_tcp"


def test_systems_take_turns_and_each_round_begins_with_another_one():
    plan = Plan(["latency-1k"], [A, B, C], 4, DURATIONS_QUICK)
    rounds = [
        [peer for _, _, peer in steps]
        for _, steps in groupby(plan.steps(), key=lambda step: step[0])
    ]
    assert rounds == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


def test_every_system_meets_every_scenario_in_every_round():
    plan = Plan(["latency-1k", "throughput-100"], [A, B], 3, DURATIONS_QUICK)
    steps = list(plan.steps())
    assert len(steps) == len(set(steps)) == plan.measurements == 12


def test_the_reference_comes_again_wherever_it_would_be_too_far_away():
    systems = ["a", "b", "nats", "c", "d", "e", "f", "g"]
    assert "".join(each[0] for each in with_reference(systems, "nats")) == "abncdefng"
    assert "".join(each[0] for each in with_reference([*"abcdef"], "nats")) == "abcdef"
    assert "".join(each[0] for each in with_reference([*"abcdef", "nats"], "nats")) == "abcdnefn"


def test_a_full_round_finds_nats_near_every_system():
    plan = Plan(["latency-1k"], MEMORY.peers, 2, DURATIONS_QUICK)
    for _, steps in groupby(plan.steps(), key=lambda step: step[0]):
        order = [peer for _, _, peer in steps]
        references = [place for place, peer in enumerate(order) if peer == "nats"]
        nearest = (min(abs(place - each) for each in references) for place in range(len(order)))
        assert len(references) == 3
        assert max(nearest) <= REFERENCE_EVERY


def test_a_system_is_measured_only_where_it_promises_what_is_compared():
    plan = Plan(["latency-1k", "durable-commit"], [A, "redis_always"], 1, DURATIONS_QUICK)
    assert list(plan.steps()) == [(1, "latency-1k", A), (1, "durable-commit", "redis_always")]


def test_only_a_plan_that_writes_to_a_disk_has_one_to_describe():
    assert not Plan(["latency-1k"], [A], 1, DURATIONS_QUICK).durable
    assert not Plan(["latency-1k", "durable-commit"], [A], 1, DURATIONS_QUICK).durable
    assert Plan(["durable-commit"], ["jetstream"], 1, DURATIONS_QUICK).durable
    assert Plan(["durable-beside"], ["bellwire_durable"], 1, DURATIONS_QUICK).durable
