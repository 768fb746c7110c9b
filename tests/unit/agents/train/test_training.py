"""bellwire.agents.train.training: a market in which it is known what can be learnt, and the card."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="make test-torch installs it")

from bellwire.agents.drift import read_references
from bellwire.agents.inference import read_manifest
from bellwire.agents.tactical.networks import load_weights
from bellwire.agents.tactical.onnx_graph import graph_bytes
from bellwire.agents.train.card_page import verdict
from bellwire.agents.train.data import generate
from bellwire.agents.train.errors import (
    CheckpointError,
    NothingToResumeError,
    TooFewBarsError,
    TrainingExistsError,
)
from bellwire.agents.train.evaluate import evaluate
from bellwire.agents.train.policy import policy_of
from bellwire.agents.train.settings import (
    MappoSettings,
    SplitSettings,
    TrainSettings,
)
from bellwire.agents.train.synthetic import SyntheticSettings
from bellwire.agents.train.tactical import TACTICAL_TASK
from bellwire.agents.train.tape import record
from bellwire.agents.train.training import Job, Watcher, checkpoint_path, train

pytestmark = [pytest.mark.torch, pytest.mark.timeout(170)]

QUICK = MappoSettings(learning_rate=1e-3)  # a strong effect bears larger steps
SMALL = MappoSettings(environments=8, episode_bars=32, minibatch=128)
PLANTED = SyntheticSettings(bars=12_000, seed=1, effect_bp=20.0)


@pytest.fixture(scope="module")
def planted():
    return record(generate(PLANTED))


@pytest.fixture(scope="module")
def small():
    return record(generate(SyntheticSettings(bars=1_000, seed=2)))


@pytest.fixture
def job(small, tmp_path):
    settings = TrainSettings(steps=1_024, seed=4)
    return Job((small,), tmp_path / "out", settings, SMALL)


def finished(job, watcher=None):
    card = train(TACTICAL_TASK, job, watcher)
    assert card is not None, "nobody asked it to stop"
    return card


def test_a_planted_effect_is_learnt(planted, tmp_path):
    settings = TrainSettings(steps=100_000, seed=0, fee_bp=0.2)
    card = finished(Job((planted,), tmp_path, settings, QUICK))
    (result,) = card.results
    trained = result.trained
    best = max(each.gross_log_return for each in (result.buy_and_hold, *result.untrained))
    assert trained.gross_log_return > best + 2 * trained.standard_error
    assert trained.net_log_return["0.2"] > 4 * trained.standard_error
    assert verdict(card).startswith("At the fee it was trained with (0.2 bp) it was better")


def test_at_a_prohibitive_fee_agents_learn_to_stay_flat(planted, tmp_path):
    settings = TrainSettings(steps=60_000, seed=0, fee_bp=100.0)
    card = finished(Job((planted,), tmp_path, settings, QUICK))
    (result,) = card.results
    assert min(each.turnover for each in result.untrained) > 1.0
    assert result.trained.turnover == 0.0
    assert result.trained.gross_log_return == 0.0
    assert verdict(card).startswith("**No edge found**")


def test_the_card_is_complete_and_its_weights_do_what_it_says(job, small):
    card = finished(job)
    written = json.loads((job.folder / "card.json").read_text())
    assert written == json.loads(card.to_json())
    (result,) = written["results"]
    assert result["data"]["sha256"] == small.bars.sha256
    assert result["data"]["train_last"] < result["data"]["test_first"]
    assert set(result["trained"]["net_log_return"]) == {"0", "0.2", "1", "2"}
    assert len(result["untrained"]) == len(written["untrained_seeds"]) == 5
    assert written["seed"] not in written["untrained_seeds"]
    file = (job.folder / "weights.npz").read_bytes()
    assert written["weights_sha256"] == hashlib.sha256(file).hexdigest()
    policy = policy_of(load_weights(job.folder / "weights.npz"))
    bars = range(small.decisions.stop - result["trained"]["bars"], small.decisions.stop)
    assert evaluate(policy, small, bars).gross_log_return == pytest.approx(
        result["trained"]["gross_log_return"]
    )
    manifest = read_manifest(job.folder)
    assert manifest.key == "tactical:1"
    assert manifest.metadata["weights_sha256"] == written["weights_sha256"]
    model = (job.folder / manifest.file).read_bytes()
    assert model == graph_bytes(load_weights(job.folder / "weights.npz"))
    page = (job.folder / "card.md").read_text()
    for figure in (small.bars.sha256, written["code_sha256"], "buy and hold", "| flat |"):
        assert figure in page


def test_what_the_training_bars_look_like_is_written_beside_the_model(job, small):
    finished(replace(job, version=4, folder=job.folder / "4"))
    (reference,) = read_references(job.folder / "4").values()
    assert (reference.symbol, reference.data_sha256) == ("SYNTHETIC2", small.bars.sha256)
    card = json.loads((job.folder / "4" / "card.json").read_text())
    assert {column.bars for column in reference.columns} == {
        len(small.decisions) - card["results"][0]["trained"]["bars"] - job.split.embargo_bars
    }
    assert read_manifest(job.folder / "4").key == "tactical:4"


def test_equal_seeds_give_equal_cards_and_other_seeds_do_not(job, tmp_path):
    cards = []
    for name, seed in (("one", 4), ("two", 4), ("three", 5)):
        settings = replace(job.train, seed=seed)
        card = finished(replace(job, train=settings, folder=tmp_path / name))
        values = json.loads(card.to_json())
        del values["run"]
        cards.append(values)
    assert cards[0] == cards[1]
    assert cards[0]["weights_sha256"] != cards[2]["weights_sha256"]


def test_a_training_resumed_twice_ends_as_one_never_stopped(job, tmp_path):
    whole = finished(job)
    parts = replace(job, folder=tmp_path / "parts")
    once = Watcher(should_stop=lambda: True)
    assert train(TACTICAL_TASK, parts, once) is None
    assert not (parts.folder / "card.json").exists()
    assert train(TACTICAL_TASK, replace(parts, resume=True), once) is None
    resumed = finished(replace(parts, resume=True))
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.results == whole.results
    assert resumed.steps == 1_024


def test_more_steps_go_on_from_where_it_was_done(job):
    seen = []
    train(TACTICAL_TASK, job)
    longer = replace(job, train=replace(job.train, steps=1_500), resume=True)
    said = []
    watcher = Watcher(
        progressed=lambda progress: seen.append(progress.step),
        resumed=lambda fold, step: said.append((fold, step)),
    )
    card = finished(longer, watcher)
    assert seen == [1_280, 1_536]
    assert said == [(1, 1_024)]
    assert card.steps == 1_536


def test_a_training_in_the_folder_is_never_overwritten(job):
    train(TACTICAL_TASK, job)
    before = checkpoint_path(job.folder, 1).read_bytes()
    with pytest.raises(TrainingExistsError, match=r"holds checkpoint-1\.npz of another training"):
        train(TACTICAL_TASK, job)
    assert checkpoint_path(job.folder, 1).read_bytes() == before


@pytest.mark.parametrize("name", ["model.json", "card.json", "weights.npz"])
def test_a_model_in_the_folder_is_never_overwritten(job, name):
    job.folder.mkdir()
    (job.folder / name).write_text("somebody's")
    with pytest.raises(TrainingExistsError, match=f"holds {name} of another training") as caught:
        train(TACTICAL_TASK, job)
    assert caught.value.found == name
    assert [path.name for path in job.folder.iterdir()] == [name]
    assert (job.folder / name).read_text() == "somebody's"


def test_no_symbol_is_tested_on_a_time_that_another_was_trained_on(job, small):
    earlier = record(generate(SyntheticSettings(bars=800, seed=3)))
    card = finished(replace(job, tapes=(small, earlier), train=TrainSettings(steps=256)))
    trained = max(result.data.train_last for result in card.results)
    tested = min(result.data.test_first for result in card.results)
    assert trained < tested


def test_the_manifest_says_how_bars_were_parted_and_from_when_the_last_fold_was_tested(job, small):
    settings = SplitSettings(folds=2)
    card = finished(replace(job, split=settings, train=TrainSettings(steps=256)))
    metadata = read_manifest(job.folder).metadata
    assert metadata["split"] == {"test_share": 0.3, "folds": 2, "embargo_bars": 80}
    assert metadata["tested_from"] == {small.bars.sha256: card.results[-1].data.test_first}


def test_a_checkpoint_of_other_data_is_refused(job, planted):
    train(TACTICAL_TASK, job, Watcher(should_stop=lambda: True))
    with pytest.raises(CheckpointError, match="begun with bars of SYNTHETIC1 None"):
        train(TACTICAL_TASK, replace(job, tapes=(planted,), resume=True))


def test_nothing_to_resume_is_refused(job):
    with pytest.raises(NothingToResumeError, match=r"no training to go on with; begin one"):
        train(TACTICAL_TASK, replace(job, resume=True))


def test_a_series_too_short_for_one_episode_is_refused_before_anything_is_written(job):
    too_short = replace(job, mappo=MappoSettings(), split=SplitSettings(test_share=0.9))
    with pytest.raises(TooFewBarsError, match="SYNTHETIC2 has 1000 bars"):
        train(TACTICAL_TASK, too_short)
    assert not job.folder.exists()


def test_every_symbol_and_every_fold_is_tested_apart(job, small, tmp_path):
    other = record(generate(SyntheticSettings(bars=900, seed=3)))
    split = SplitSettings(folds=2)
    both = replace(job, tapes=(small, other), split=split, train=TrainSettings(steps=256))
    card = finished(both)
    found = [(result.fold, result.symbol) for result in card.results]
    assert found == [
        (1, "SYNTHETIC2"),
        (1, "SYNTHETIC3"),
        (2, "SYNTHETIC2"),
        (2, "SYNTHETIC3"),
    ]
    first, *_, last = card.results
    assert first.data.test_last < last.data.test_first or first.symbol != last.symbol
    stored = load_weights(job.folder / "weights.npz")
    bars = other.decisions
    tested = range(bars.stop - last.trained.bars, bars.stop)
    again = evaluate(policy_of(stored), other, tested)
    assert again.actions == last.trained.actions, "the weights are those of the last fold"
    assert np.isfinite(again.gross_log_return)


def test_the_larger_network_trains_too(job):
    settings = replace(job.train, variant="hidden-128", steps=256)
    card = finished(replace(job, train=settings))
    assert card.variant == "hidden-128"
    assert str(load_weights(job.folder / "weights.npz").variant) == "hidden-128"
