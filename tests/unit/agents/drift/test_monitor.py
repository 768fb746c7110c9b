"""bellwire.agents.drift.monitor: verdicts, their changes, and the window's bound."""

import pytest
from tests.unit.agents.drift.samples import draw, feed, reference

from bellwire.agents.drift import DriftMonitor, DriftSettings, DriftVerdict
from bellwire.wire.settings import SettingsError

SETTINGS = DriftSettings(window_bars=400, bars_min=200, look_bars=10)


@pytest.fixture(scope="module")
def trained():
    return reference()


def test_before_the_fewest_bars_nothing_is_claimed(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    assert feed(monitor, *draw(1, 199, shift=9.0)) == []
    report = monitor.look()
    assert report.verdict is monitor.verdict is DriftVerdict.TOO_FEW
    assert {score.bars for score in report.scores} == {199}
    assert report.drifting == ()


def test_a_monitor_that_saw_nothing_has_too_few(trained):
    report = DriftMonitor(trained).look()
    assert report.verdict is DriftVerdict.TOO_FEW
    assert {score.psi for score in report.scores} == {0.0}


def test_the_same_distribution_is_stable_and_said_once(trained):
    (report,) = feed(DriftMonitor(trained, SETTINGS), *draw(2))
    assert report.verdict is DriftVerdict.STABLE


def test_a_shift_is_named_by_its_column_and_ends_when_it_has_left_the_window(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    feed(monitor, *draw(3, 400))
    (report,) = feed(monitor, *draw(4, 400, shift=1.0))
    assert report.verdict is DriftVerdict.DRIFTING
    assert report.drifting == ("fvg_nearest_level",)
    (report,) = feed(monitor, *draw(5, 400))
    assert report.verdict is DriftVerdict.STABLE


def test_other_actions_drift_while_the_features_do_not(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    (report,) = feed(monitor, *draw(6, 400, long=0.55))
    assert set(report.drifting) == {"action_fvg", "action_momentum", "action_entry"}


def test_bars_the_model_did_not_answer_leave_its_actions_too_few(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    rows, _ = draw(7, 400)
    assert [monitor.observe(row) for row in rows.tolist()] == [None] * 400
    report = monitor.look()
    assert report.verdict is DriftVerdict.TOO_FEW
    assert [score.bars for score in report.scores] == [400] * 7 + [0] * 3


def test_a_certain_shift_that_is_too_small_to_matter_is_stable(trained):
    large = DriftSettings(window_bars=40_000, bars_min=200, look_bars=40_000)
    monitor = DriftMonitor(reference(bars=40_000), large)
    feed(monitor, *draw(8, 40_000, shift=0.2))
    (score,) = (each for each in monitor.look().scores if each.name == "fvg_nearest_level")
    assert 5 * score.expected < score.psi < score.limit == 0.1


def test_the_worst_column_is_named_first(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    feed(monitor, *draw(9, 400, shift=3.0, long=0.55))
    assert monitor.look().drifting[0] == "fvg_nearest_level"


def test_a_look_changes_nothing(trained):
    monitor = DriftMonitor(trained, SETTINGS)
    feed(monitor, *draw(10, 300))
    assert monitor.look() == monitor.look()


def test_more_bars_wanted_than_the_window_holds_are_refused():
    with pytest.raises(SettingsError, match="bars_min"):
        DriftSettings(window_bars=100, bars_min=101)
