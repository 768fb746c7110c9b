"""Targets are judged, and only those that were measured."""

from tests.benchmarks.summary import Measurement, summarise
from tests.benchmarks.targets import Verdict, judge
from tests.unit.benchmarks.results import document, failure, latency, throughput


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


def test_without_the_reference_a_relative_target_is_not_measured_rather_than_met():
    verdicts = verdicts_of(failure(1, "nats"), throughput(1, "bellwire_unix", 400_000))
    assert verdicts["msg/s at ≤ 100 beside NATS core", "grpc over a Unix socket"].met is None


def test_columns_have_one_bound_over_tcp_and_a_higher_one_on_one_host():
    verdicts = verdicts_of(
        *(
            throughput(1, peer, 2_000_000, scenario="columns-4000")
            for peer in ("bellwire_tcp", "bellwire_unix")
        )
    )
    assert {key: verdict.met for key, verdict in verdicts.items()} == {
        ("updates/s, 4000", "grpc over TCP"): True,
        ("updates/s on one host, 4000", "grpc over a Unix socket"): False,
    }


def test_peers_have_no_targets():
    assert verdicts_of(throughput(1, "nats", 150_000)) == {}
