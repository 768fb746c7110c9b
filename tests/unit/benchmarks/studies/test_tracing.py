"""What is made of throughputs with tracing."""

import pytest
from tests.benchmarks.studies.tracing import ONE_PERCENT, RATIOS, ROLES, STUDY
from tests.benchmarks.summary import Measurement


def turn(rate: int, spans: float) -> Measurement:
    cpu = {f"{role}_cpu_us": 2.0 for role in ROLES}
    return {"messages_per_second": rate, "spans_per_message": spans, **cpu}


def measurement(*rates: tuple[int, int, int, int]) -> Measurement:
    spans = (0.0, 0.0, 0.03, 3.0)
    return {
        "turns": {
            name: [turn(each[index], spans[index]) for each in rates]
            for index, name in enumerate(RATIOS)
        }
    }


def test_the_cost_of_one_percent_is_found_turn_by_turn():
    found = measurement((100, 100, 96, 5), (200, 200, 192, 10), (50, 50, 10, 3))
    (figure,) = STUDY.figures([found])
    assert (figure.key, figure.value) == (ONE_PERCENT, pytest.approx(0.04))


def test_every_ratio_is_shown_with_what_it_wrote():
    (table,) = STUDY.tables("Tracing", [measurement((100, 99, 96, 5))])
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [row[0] for row in table.rows] == ["no SDK", "0", "1 %", "100 %"]
    assert table.rows[2] == ("1 %", "96", "0.960", "0.970", "2.0 + 2.0 + 2.0", "0.030")


def test_a_plot_leaves_out_what_has_no_ratio():
    (plot,) = STUDY.plots([measurement((100, 99, 96, 5))])
    assert (plot["x"], plot["y"]) == ([0, 0.01, 1], [99, 96, 5])
