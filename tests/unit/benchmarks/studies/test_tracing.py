"""What is made of throughputs with tracing."""

import pytest
from tests.benchmarks.studies.tracing import AGENT, CLIENT, PATHS, RATIOS, ROLES, STUDY, order
from tests.benchmarks.summary import Measurement


def turn(rate: int, spans: float) -> Measurement:
    cpu = {f"{role}_cpu_us": 2.0 for role in ROLES[AGENT]}
    return {"messages_per_second": rate, "spans_per_message": spans, **cpu}


def measurement(*rates: tuple[int, int, int, int]) -> Measurement:
    spans = (0.0, 0.0, 0.03, 3.0)
    turns = {
        name: [turn(each[index], spans[index]) for each in rates]
        for index, name in enumerate(RATIOS)
    }
    return {"paths": dict.fromkeys(PATHS, turns)}


def test_the_cost_of_one_percent_is_found_turn_by_turn():
    found = measurement((100, 100, 96, 5), (200, 200, 192, 10), (50, 50, 10, 3))
    figures = {figure.key: figure.value for figure in STUDY.figures([found])}
    assert figures == pytest.approx({CLIENT: 0.04, AGENT: 0.04})


def test_every_ratio_is_shown_with_what_it_wrote():
    table, relayed = STUDY.tables("Tracing", [measurement((100, 99, 96, 5))])
    for each in (table, relayed):
        assert {len(row) for row in each.rows} == {len(each.columns)}
    assert relayed.rows[0][-2] == "2.0 + 2.0 + 2.0 + 2.0"
    assert [row[0] for row in table.rows] == ["no SDK", "0", "1 %", "100 %"]
    assert table.rows[2] == ("1 %", "96", "0.960", "0.970", "2.0 + 2.0 + 2.0", "0.030")


def test_each_turn_begins_with_another_ratio_and_everything_is_traced_once():
    turns = [order(turn) for turn in range(4)]
    assert turns[0] == list(RATIOS)
    assert [sorted(turn) for turn in turns[1:]] == [sorted(["no SDK", "0", "1 %"])] * 3
    assert len({turn[0] for turn in turns[1:]}) == 3


def test_a_plot_leaves_out_what_has_no_ratio():
    plot, _ = STUDY.plots([measurement((100, 99, 96, 5))])
    assert (plot["x"], plot["y"]) == ([0, 0.01, 1], [99, 96, 5])
