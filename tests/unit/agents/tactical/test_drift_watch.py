"""bellwire.agents.tactical.drift_watch, and the tool of the agent that shows it."""

import json
import logging

import numpy as np
import pytest
from tests.unit.agents.drift.samples import draw, reference

from bellwire.agents.bars import read_ohlcv
from bellwire.agents.data import EURUSD_1H
from bellwire.agents.drift import REFERENCE_FILE, DriftSettings, write_references
from bellwire.agents.features import COLUMNS, ROWS, Observation
from bellwire.agents.feed import to_message
from bellwire.agents.tactical.actions import EntryAction, FvgAction, JointAction, MomentumAction
from bellwire.agents.tactical.drift_watch import DriftWatch, open_watch
from bellwire.agents.tactical.tactical_agent import TacticalAgent
from bellwire.runtime.harness import AgentHarness
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.message import new_message

SETTINGS = DriftSettings(window_bars=300, bars_min=100, look_bars=10)
LOGGER = "bellwire.agents.tactical.drift_watch"


def joint(fvg, momentum, entry):
    sure = (1.0, 1.0, 1.0)
    return JointAction(FvgAction(fvg), MomentumAction(momentum), EntryAction(entry), sure)


def observations(seed, bars, **changed):
    rows, actions = draw(seed, bars, **changed)
    for number, (row, said) in enumerate(zip(rows, actions.tolist(), strict=True)):
        matrix = np.zeros((ROWS, COLUMNS), "<f4")
        matrix[-1] = row
        yield Observation(number, matrix.tobytes()), joint(*said)


@pytest.fixture(scope="module")
def trained():
    return {"EURUSD": reference()}


def test_each_change_of_verdict_is_logged_once_and_a_drift_as_a_warning(trained, caplog):
    watch = DriftWatch(trained, SETTINGS)
    with caplog.at_level(logging.INFO, logger=LOGGER):
        for seed, shift in ((1, 0.0), (2, 2.0), (3, 0.0)):
            for observation, actions in observations(seed, 300, shift=shift):
                watch.observe("EURUSD", "1h", observation, actions)
    said = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert [level for level, _ in said] == ["INFO", "WARNING", "INFO"]
    assert said[0][1] == "drift of EURUSD 1h against the training bars of EURUSD: STABLE"
    assert "EURUSD: DRIFTING: fvg_nearest_level " in said[1][1]


def test_a_symbol_that_was_not_trained_on_is_compared_with_the_first_that_was(trained):
    watch = DriftWatch(trained, SETTINGS)
    for observation, actions in observations(4, 100):
        watch.observe("IBM", "1d", observation, actions)
    report = watch.report("IBM", "1d")
    assert (report["compared_with"], report["verdict"]) == ("EURUSD", "STABLE")
    assert watch.report("EURUSD", "1h")["known"] is False


def test_without_references_nothing_is_watched_and_the_report_says_why(tmp_path, caplog):
    watch = open_watch(tmp_path, SETTINGS)
    assert "drift is not watched: drift reference" in caplog.text
    for observation, actions in observations(5, 1):
        watch.observe("EURUSD", "1h", observation, actions)
    assert watch.report("EURUSD", "1h") == {
        "symbol": "EURUSD",
        "interval": "1h",
        "known": False,
        "reason": "the model has no drift.json",
    }


def test_intervals_of_a_symbol_are_counted_apart(trained):
    watch = DriftWatch(trained, SETTINGS)
    for observation, actions in observations(6, 120):
        watch.observe("EURUSD", "1h", observation, actions)
        watch.observe("EURUSD", "5m", observation, None)
    hourly, quick = (json.loads(json.dumps(watch.report("EURUSD", each))) for each in ("1h", "5m"))
    assert [column["bars"] for column in hourly["columns"]] == [120] * 10
    assert [column["bars"] for column in quick["columns"]] == [120] * 7 + [0] * 3
    assert (hourly["interval"], quick["interval"]) == ("1h", "5m")


async def play(settings, bars):
    harness = AgentHarness(TacticalAgent(settings))
    await harness.start()
    series = read_ohlcv(EURUSD_1H.path, symbol="EURUSD").bars[:bars]
    for number, bar in enumerate(series):
        payload = to_message(bar, number).SerializeToString()
        await harness.feed(
            "bars.1h", new_message(data=payload, type=Bar.DESCRIPTOR.full_name, key="EURUSD")
        )
    return json.loads(json.dumps(await harness.call("drift_report", {"symbol": "EURUSD"})))


async def test_the_bundled_model_sees_what_it_was_trained_on():
    report = await play({}, 700)
    assert (report["verdict"], report["drifting"]) == ("STABLE", []), report
    assert report["compared_with"] == "EURUSD"
    assert {column["bars"] for column in report["columns"]} == {480}
    assert len(report["columns"]) == 10


async def test_a_damaged_reference_keeps_no_model_from_deciding(model_dir, tmp_path, caplog):
    folder = tmp_path / "3"
    folder.mkdir()
    for file in model_dir.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / REFERENCE_FILE).write_text("{")
    report = await play({"model_dir": str(folder)}, 90)
    assert report["known"] is False
    assert [each.name for each in caplog.records] == [LOGGER]


async def test_actions_of_bars_that_the_rules_decided_are_not_counted(trained, tmp_path):
    write_references(tmp_path, list(trained.values()))
    report = await play({"model_dir": str(tmp_path)}, 90)  # a reference, and no model
    assert [column["bars"] for column in report["columns"]] == [11] * 7 + [0] * 3
    assert report["verdict"] == "TOO_FEW"
