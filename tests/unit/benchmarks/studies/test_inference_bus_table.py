"""What the study of a model in another process makes of its measurements."""

import pytest
from tests.benchmarks.studies.inference_bus import STUDY
from tests.benchmarks.studies.inference_bus_table import (
    CALLS,
    GRPC,
    IN_FLIGHT,
    LITSERVE,
    RAW,
    SOCKET,
    TOPICS,
    ratio_of,
)
from tests.benchmarks.summary import Measurement
from tests.benchmarks.tables import tables_of
from tests.benchmarks.targets import judge_study
from tests.unit.benchmarks.results import document

MB = 1_000_000


def measurement(round_number: int, peer: str, rates: dict[str, float]) -> Measurement:
    roles = ("server",) if peer == LITSERVE else ("agent", "coordinator")
    return {
        "round": round_number,
        "turn": 0,
        "scenario": "inference-bus",
        "peer": peer,
        "ways": {
            way: {
                str(count): {
                    "observations_per_second": rate * count,
                    "p50_us": 1_000.0,
                    "p99_us": 2_000.0,
                    "cpu_us": dict.fromkeys((*roles, "caller"), 500.0),
                }
                for count in IN_FLIGHT
            }
            for way, rate in rates.items()
        },
        "idle_rss_bytes": dict.fromkeys(roles, 60 * MB),
        "rss_bytes": dict.fromkeys(roles, 90 * MB),
        "processes": {"others": {"cpu_share": 0.0}},
    }


def bellwire(round_number: int, peer: str, calls: float, topics: float) -> Measurement:
    return measurement(round_number, peer, {CALLS: calls, TOPICS: topics})


def test_a_row_has_its_own_figures_and_the_ratio_to_litserve_of_the_same_round():
    rounds = [
        bellwire(1, GRPC, 4_000, 8_000),
        measurement(1, LITSERVE, {RAW: 2_000}),
        bellwire(2, GRPC, 6_000, 8_000),
        measurement(2, LITSERVE, {RAW: 6_000}),
    ]
    (table,) = STUDY.tables("title", rounds)
    memory = "agent 60 → 90 + coordinator 60 → 90"
    cpu = "agent 0.5 + coordinator 0.5 + caller 0.5"
    assert table.rows[0] == (
        "calls, grpc over TCP", "1", "5,000", "1,000", "2,000", "1.50", cpu, memory,
    )  # fmt: skip
    assert table.rows[-1] == (
        "LitServe, raw bytes over HTTP", "8", "32,000", "1,000", "2,000", "–",
        "server 0.5 + caller 0.5", "server 60 → 90",
    )  # fmt: skip
    assert len(table.rows) == 3 * len(IN_FLIGHT)


def test_without_litserve_nothing_is_divided_by_it():
    (table,) = STUDY.tables("title", [bellwire(1, GRPC, 4_000, 8_000)])
    assert {row[5] for row in table.rows} == {"–"}


def test_a_missing_litserve_is_told_below_the_table():
    found = document(bellwire(1, GRPC, 4_000, 8_000)) | {"missing": {"litserve": "no wheel"}}
    assert "LitServe is missing: no wheel" in tables_of(found)[0].notes


def test_a_missing_peer_of_another_scenario_is_not():
    found = document(bellwire(1, GRPC, 4_000, 8_000)) | {"missing": {"nats": "no server"}}
    assert not any("missing" in note for note in tables_of(found)[0].notes)


def test_every_way_on_grpc_the_lane_beside_it_and_the_memory_are_judged():
    rounds = [bellwire(1, GRPC, 20_000, 5_000), bellwire(1, SOCKET, 8_000, 10_000)]
    verdicts = judge_study("inference-bus", STUDY.figures(rounds))
    assert [(v.lane, v.measured, v.met) for v in verdicts] == [
        ("calls, grpc over TCP", 160_000, True),
        ("topics, grpc over TCP", 40_000, False),
        ("calls, grpc over a Unix socket", 64_000, False),
        ("topics, socket lane", 2.0, True),
        ("topics, grpc over TCP", 90.0, True),
        ("topics, socket lane", 90.0, True),
    ]


def test_one_lane_alone_has_nothing_to_be_compared_with():
    figures = STUDY.figures([bellwire(1, SOCKET, 8_000, 10_000)])
    assert [each.key for each in figures] == ["grpc", "agent MB"]


@pytest.mark.parametrize(("rounds", "ratio"), [((1, 1), 2.0), ((1, 2), None)])
def test_only_rounds_that_have_both_are_compared(rounds, ratio):
    ours, theirs = rounds
    found = [bellwire(ours, SOCKET, 1, 10), bellwire(theirs, GRPC, 1, 5)]
    assert ratio_of(found, (SOCKET, TOPICS), (GRPC, TOPICS), 8) == ratio


def test_the_headline_names_each_way():
    text = STUDY.headline(bellwire(1, GRPC, 1_000, 2_000))
    assert text == "calls 8,000 obs/s, topics 16,000 obs/s"
