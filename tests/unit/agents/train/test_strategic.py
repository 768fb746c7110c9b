"""bellwire.agents.train.strategic: the slower system learns by the same trainer."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.inference import read_manifest
from bellwire.agents.strategic.onnx_graph import strategic_graph_bytes
from bellwire.agents.strategic.storage import load_strategic_weights
from bellwire.agents.train.beginning import strategic_beginning
from bellwire.agents.train.card_page import verdict
from bellwire.agents.train.data import generate
from bellwire.agents.train.errors import CheckpointError
from bellwire.agents.train.evaluate import evaluate
from bellwire.agents.train.policy import strategic_policy_of
from bellwire.agents.train.settings import MappoSettings, TrainSettings
from bellwire.agents.train.strategic import STRATEGIC_TASK
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.system import STRATEGIC
from bellwire.agents.train.tactical import TACTICAL_TASK
from bellwire.agents.train.tape import record
from bellwire.agents.train.training import Job, Watcher, train

pytestmark = [pytest.mark.torch, pytest.mark.timeout(170)]

QUICK = MappoSettings(learning_rate=1e-3)  # a strong effect bears larger steps
SMALL = MappoSettings(environments=8, episode_bars=32, minibatch=128)
# A reversal of the move over five bars: the sign of the first feature of mlmi.
PLANTED = SyntheticSettings(bars=12_000, seed=1, effect_bp=20.0)


@pytest.fixture(scope="module")
def planted():
    return record(generate(PLANTED), STRATEGIC)


@pytest.fixture(scope="module")
def small():
    return record(generate(SyntheticSettings(bars=1_000, seed=2)), STRATEGIC)


@pytest.fixture
def job(small, tmp_path):
    return Job((small,), tmp_path / "out", TrainSettings(steps=1_024, seed=4), SMALL)


def finished(job, watcher=None):
    card = train(STRATEGIC_TASK, job, watcher)
    assert card is not None, "nobody asked it to stop"
    return card


def test_a_planted_effect_is_learnt(planted, tmp_path):
    card = finished(Job((planted,), tmp_path, TrainSettings(steps=100_000), QUICK))
    (result,) = card.results
    trained = result.trained
    best = max(each.gross_log_return for each in (result.buy_and_hold, *result.untrained))
    assert trained.gross_log_return > best + 2 * trained.standard_error
    assert trained.net_log_return["0.2"] > 4 * trained.standard_error
    assert verdict(card).startswith("At the fee it was trained with (0.2 bp) it was better")


def test_at_a_prohibitive_fee_it_learns_to_stay_flat(planted, tmp_path):
    settings = TrainSettings(steps=60_000, fee_bp=100.0)
    card = finished(Job((planted,), tmp_path, settings, QUICK))
    (result,) = card.results
    assert max(each.turnover for each in result.untrained) > 1.0
    assert result.trained.turnover == 0.0
    assert result.trained.gross_log_return == 0.0


def test_the_card_is_complete_and_its_weights_do_what_it_says(job, small):
    card = finished(job)
    written = json.loads((job.folder / "card.json").read_text())
    assert written == json.loads(card.to_json())
    (result,) = written["results"]
    assert (written["model"], len(result["untrained"])) == ("strategic", 5)
    assert set(result["trained"]["net_log_return"]) == {"0", "0.2", "1", "2"}
    weights = load_strategic_weights(job.folder / "weights.npz")
    tested = range(small.decisions.stop - result["trained"]["bars"], small.decisions.stop)
    found = evaluate(strategic_policy_of(weights), small, tested)
    assert found.gross_log_return == pytest.approx(result["trained"]["gross_log_return"])
    manifest = read_manifest(job.folder)
    assert (manifest.key, [each.name for each in manifest.inputs]) == ("strategic:1", ["features"])
    assert manifest.metadata["weights_sha256"] == written["weights_sha256"]
    assert (job.folder / manifest.file).read_bytes() == strategic_graph_bytes(weights)
    page = (job.folder / "card.md").read_text()
    assert "Three agents (mlmi, nwrqk, mmd)" in page
    assert "mmd: avoid / reduce / trade): mlmi " in page
    assert not (job.folder / "drift.json").exists(), "no watch reads these columns yet"


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not(job, tmp_path):
    cards = [
        finished(replace(job, train=replace(job.train, seed=seed), folder=tmp_path / name))
        for name, seed in (("one", 4), ("two", 4), ("three", 5))
    ]
    assert cards[0].weights_sha256 == cards[1].weights_sha256 != cards[2].weights_sha256
    assert cards[0].results == cards[1].results


def test_a_training_resumed_ends_as_one_never_stopped(job, tmp_path):
    whole = finished(job)
    parts = replace(job, folder=tmp_path / "parts")
    assert train(STRATEGIC_TASK, parts, Watcher(should_stop=lambda: True)) is None
    resumed = finished(replace(parts, resume=True))
    assert (resumed.weights_sha256, resumed.results) == (whole.weights_sha256, whole.results)


def test_a_checkpoint_of_the_other_system_is_refused(job, small):
    tactical = replace(job, tapes=(record(small.bars),))
    assert train(TACTICAL_TASK, tactical, Watcher(should_stop=lambda: True)) is None
    with pytest.raises(CheckpointError, match=r"begun with agents \['fvg', 'momentum', 'entry'\]"):
        train(STRATEGIC_TASK, replace(job, resume=True))


def test_untrained_networks_are_undecided():
    policy = strategic_policy_of(strategic_beginning(3, 0.01))
    seen = np.random.default_rng(0).uniform(-1, 1, (500, 13)).astype(np.float32)
    assert np.abs(policy(seen, np.zeros((500, 1), np.float32)) - 1 / 3).max() < 0.05
