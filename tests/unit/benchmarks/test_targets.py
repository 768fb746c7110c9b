"""Targets are judged, and only those that were measured."""

from tests.benchmarks.summary import Measurement, summarise
from tests.benchmarks.targets import Verdict, judge
from tests.unit.benchmarks.results import document, failure, latency, levels, throughput


def verdicts_of(*measurements: Measurement) -> dict[tuple[str, str], Verdict]:
    return {
        (verdict.target.title, verdict.lane): verdict
        for verdict in judge(summarise(document(*measurements)))
    }


def test_throughput_has_to_be_above_its_bound_and_latency_below():
    verdicts = verdicts_of(
        throughput(1, "nats", 150_000),
        throughput(1, "bellwire_tcp", 310_000),
        latency(1, "nats", [100]),
        latency(1, "bellwire_tcp", [160]),
    )
    assert {title: verdict.met for (title, _), verdict in verdicts.items()} == {
        "p50 at 1/ms beside NATS core": False,
        "msg/s at ≤ 100 beside NATS core": True,
        "msg/s at ≤ 100, the least to be useful": True,
    }


def test_each_lane_has_its_own_bound_and_the_socket_lane_also_one_for_its_tail():
    verdicts = verdicts_of(
        latency(1, "nats", [100] * 90 + [200] * 10),
        latency(1, "bellwire_socket", [50] * 90 + [150] * 10),
        latency(1, "bellwire_unix", [140]),
    )
    judged = {
        (verdict.lane, title): (verdict.target.bound, verdict.met)
        for (title, _), verdict in verdicts.items()
    }
    assert judged == {
        ("socket lane", "p50 at 1/ms beside NATS core"): (0.5, True),
        ("socket lane", "p95 at 1/ms beside NATS core"): (0.7, False),
        ("grpc over a Unix socket", "p50 at 1/ms beside NATS core"): (1.5, True),
    }


def test_the_direct_lane_has_a_bound_in_microseconds_for_its_tail():
    verdicts = verdicts_of(
        latency(1, "nats", [400]), latency(1, "bellwire_direct", [50] * 90 + [150] * 10)
    )
    judged = {
        title: (round(verdict.measured or 0, 2), verdict.met)
        for (title, _), verdict in verdicts.items()
    }
    assert judged == {
        "p50 at 1/ms beside NATS core": (0.13, True),
        "p95 at 1/ms, µs": (150, False),
    }


def test_a_load_level_is_judged_by_what_was_not_delivered_and_by_the_coordinator_s_memory():
    rates = {1_000: 100, 20_000: 100, 50_000: 100}
    verdicts = verdicts_of(levels(1, "nats", rates), levels(1, "bellwire_socket", rates, unsent=3))
    assert {title: (verdict.measured, verdict.met) for (title, _), verdict in verdicts.items()} == {
        "not delivered at 20,000/s": (3, False),
        "coordinator RSS in MB at 20,000/s": (50.0, True),
        "not delivered at 50,000/s": (3, False),
        "coordinator RSS in MB at 50,000/s": (50.0, True),
    }


def test_without_the_reference_a_relative_target_is_not_measured_rather_than_met():
    verdicts = verdicts_of(failure(1, "nats"), throughput(1, "bellwire_unix", 400_000))
    assert verdicts["msg/s at ≤ 100 beside NATS core", "grpc over a Unix socket"].met is None


def test_columns_have_one_bound_over_tcp_and_a_higher_one_on_one_host():
    verdicts = verdicts_of(
        *(
            throughput(1, peer, 2_000_000, scenario="columns-4000")
            for peer in ("bellwire_tcp", "bellwire_socket")
        )
    )
    assert {key: verdict.met for key, verdict in verdicts.items()} == {
        ("updates/s, 4000", "grpc over TCP"): True,
        ("updates/s on one host, 4000", "socket lane"): False,
    }


def test_peers_have_no_targets():
    assert verdicts_of(throughput(1, "nats", 150_000)) == {}
