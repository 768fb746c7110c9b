"""What is made of a fast subscriber's latencies beside a slow one."""

import pytest
from tests.benchmarks.histogram import LatencyHistogram
from tests.benchmarks.studies.slow_subscriber import CONTROL, LOGS, POLICIES, STUDY
from tests.benchmarks.summary import Measurement


def phase(*p99_us: int) -> Measurement:
    """A phase of so many turns."""
    nanos = [each * 1_000 for each in p99_us for _ in range(100)]
    return {
        "from_intended": LatencyHistogram.of(nanos).to_json(),
        "p99_us": list(map(float, p99_us)),
    }


def measurement(peer: str, beside_us: dict[str, int], *, ended: str = "") -> Measurement:
    """A round in which every p99 alone is 1,000 µs, and so is that beside what is not named."""
    slow = {"read": 10, "dropped": 300, "ended": ended}
    return {
        "peer": peer,
        "cases": {
            f"{log} {policy}": {
                "alone": phase(1_000),
                "beside": phase(beside_us.get(f"{log} {policy}", 1_000)),
                "slow": None if policy == CONTROL else slow,
            }
            for log in LOGS
            for policy in POLICIES
        },
    }


def test_the_target_is_asked_of_the_worst_policy_on_each_kind_of_topic_and_transport():
    figures = STUDY.figures(
        [
            measurement("bellwire_tcp", {"memory BLOCK": 1_100, "memory CONFLATE": 1_500}),
            measurement("bellwire_socket", {"durable BLOCK": 2_000}),
        ]
    )
    assert {(figure.key, figure.lane): figure.value for figure in figures} == {
        ("memory", "grpc over TCP"): pytest.approx(1.5, rel=0.02),
        ("durable", "grpc over TCP"): 1,
        ("memory", "socket lane"): 1,
        ("durable", "socket lane"): pytest.approx(2, rel=0.02),
    }


def test_how_far_p99_moves_by_itself_is_shown_and_judged_by_nobody():
    found = [measurement("bellwire_tcp", {f"memory {CONTROL}": 9_000})]
    assert all(figure.value == 1 for figure in STUDY.figures(found))
    memory, _ = STUDY.tables("Slow", found)
    ratio = memory.columns.index("p99 × alone")
    (shown,) = [row for row in memory.rows if row[1] == CONTROL]
    assert float(shown[ratio]) == pytest.approx(9, rel=0.02)
    assert shown[-4:] == ("–", "–", "–", "–")


def test_a_percentile_is_taken_over_the_messages_of_all_rounds():
    rounds = [measurement("bellwire_tcp", {}) for _ in range(199)]
    rounds.append(measurement("bellwire_tcp", {"memory BLOCK": 90_000}))
    values = [figure.value for figure in STUDY.figures(rounds)]
    assert values == pytest.approx([1, 1], rel=0.02)


def test_one_turn_that_the_machine_slept_through_decides_nothing():
    found = measurement("bellwire_tcp", {})
    found["cases"]["memory BLOCK"]["alone"] = phase(1_000, 1_000, 1_000, 1_000, 1_000, 90_000)
    found["cases"]["memory BLOCK"]["beside"] = phase(80_000, 1_300, 1_300, 1_300, 1_300, 1_300)
    values = {figure.key: figure.value for figure in STUDY.figures([found])}
    assert values["memory"] == pytest.approx(1.3)
    memory, _ = STUDY.tables("Slow", [found])
    (shown,) = [row for row in memory.rows if row[1] == "BLOCK"]
    assert shown[memory.columns.index("middle half")] == "0.98–20.98"


def test_every_row_has_a_cell_for_every_head_and_tells_how_the_slow_one_ended():
    tables = STUDY.tables("Slow", [measurement("bellwire_tcp", {}, ended="SLOW_SUBSCRIBER")])
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert table.rows[-1][-3:] == ("10", "300", "SLOW_SUBSCRIBER")


def test_plots_have_as_many_x_as_y():
    plots = STUDY.plots([measurement("bellwire_socket", {})])
    assert len(plots) == 4
    assert all(len(plot["x"]) == len(plot["y"]) == len(POLICIES) for plot in plots)
