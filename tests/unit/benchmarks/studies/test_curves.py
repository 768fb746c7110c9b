"""What is made of the points of curves."""

import pytest
from tests.benchmarks.scenario import DURATIONS_DEFAULT, DURATIONS_QUICK
from tests.benchmarks.studies.curves import CURVES, SERIES, STUDY, Curve, CurvesStudy, ratios
from tests.benchmarks.summary import Measurement

SUBSCRIBERS = Curve("subscribers", "subscribers", (1, 5, 200), "cpu_us_per_delivery")


def measurement(*costs: float) -> Measurement:
    x = SUBSCRIBERS.points[: len(costs)]
    series = {key: [float(n) for n in range(1, len(x) + 1)] for key in SERIES}
    return {"curves": {"subscribers": {"x": list(x), **series, "cpu_us_per_delivery": list(costs)}}}


def test_each_point_is_divided_by_the_first_of_its_own_round():
    slow_and_quick_minutes = [measurement(200, 100, 220), measurement(400, 200, 440)]
    assert ratios(SUBSCRIBERS, slow_and_quick_minutes) == [1, 0.5, 1.1]


def test_a_target_can_ask_for_the_last_point_beside_the_first_and_beside_the_second():
    figures = CurvesStudy([SUBSCRIBERS]).figures([measurement(200, 100, 220)])
    assert {figure.key: figure.value for figure in figures} == pytest.approx(
        {"subscribers": 1.1, "subscribers from second": 2.2}
    )


def test_a_plot_has_medians_over_the_rounds_and_as_many_x_as_y():
    rounds = [measurement(1, 2, 3), measurement(10, 20, 30), measurement(4, 5, 6)]
    plots = CurvesStudy([SUBSCRIBERS]).plots(rounds)
    assert len(plots) == len(SERIES)
    (costs,) = [plot for plot in plots if plot["name"] == "subscribers cpu_us_per_delivery"]
    assert (costs["x"], costs["y"]) == ([1, 5, 200], [4, 5, 6])


def test_every_row_of_the_table_has_a_cell_for_every_head():
    (table,) = CurvesStudy([SUBSCRIBERS]).tables("Cost", [measurement(200, 100, 220)])
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [row[:3] for row in table.rows] == [
        ("1", "200.0", "–"),
        ("5", "100.0", "0.50"),
        ("200", "220.0", "1.10"),
    ]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_a_short_run_measures_the_ends_of_a_curve(curve):
    short = curve.points_for(DURATIONS_QUICK)
    assert (short[0], short[-1]) == (curve.points[0], curve.points[-1])
    assert len(short) < len(curve.points) == len(curve.points_for(DURATIONS_DEFAULT))


def test_the_curves_reach_as_far_as_promised():
    assert {curve.name: (curve.points[0], curve.points[-1]) for curve in CURVES} == {
        "topics": (1, 10_000),
        "subscribers": (1, 200),
        "agents": (1, 100),
    }


def test_a_round_is_told_in_a_line():
    found = {curve.name: {"x": [1, 2], curve.cost: [100.0, 150.0]} for curve in CURVES}
    assert STUDY.headline({"curves": found}) == "topics × 1.50, subscribers × 1.50, agents × 1.50"
