"""The models that ship with the package: the files its card speaks of, and the version quantized from them."""

import hashlib
import json

import pytest

from bellwire.agents.data import EURUSD_1H
from bellwire.agents.drift import DriftMonitor, DriftSettings, read_references
from bellwire.agents.inference.repository import (
    ModelRepository,
    RepositorySettings,
    VersionState,
)
from bellwire.agents.quantize import CalibrationSettings, GateSettings, read_data
from bellwire.agents.quantize.contract import policy_in
from bellwire.agents.quantize.quantizer import measure_gate
from bellwire.agents.strategic.storage import load_strategic_weights
from bellwire.agents.tactical.networks import load_weights
from bellwire.agents.train import (
    SplitSettings,
    evaluate,
    load_bars,
    policy_of,
    record,
    walk_forward,
)
from bellwire.agents.train.drift import references
from bellwire.agents.train.policy import strategic_policy_of
from bellwire.agents.train.system import STRATEGIC

# Other machines sum in another order: a tie may break otherwise, and a position last another bar.
DECISIONS = 5
LOG_RETURN = 1e-3
LOOK_BARS, BARS_MIN = DriftSettings().look_bars, DriftSettings().bars_min
MODELS = EURUSD_1H.path.parent / "models"
FOLDER = MODELS / "tactical" / "1"
STRATEGIC_FOLDER = MODELS / "strategic" / "1"


@pytest.fixture(scope="module")
def card():
    return json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))


def test_the_card_names_these_weights_and_these_bars(card):
    weights = (FOLDER / "weights.npz").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    (result,) = card["results"]
    assert result["data"]["sha256"] == hashlib.sha256(EURUSD_1H.path.read_bytes()).hexdigest()
    assert card["weights_sha256"] in (FOLDER / "card.md").read_text(encoding="utf-8")


def test_the_weights_earn_what_the_card_says_and_act_as_it_says(card):
    (result,) = card["results"]
    tape = record(load_bars("eurusd-1h"))
    tested = range(tape.decisions.stop - result["trained"]["bars"], tape.decisions.stop)
    assert tape.bars.close_time(tested.start) == result["data"]["test_first"]
    found = evaluate(policy_of(load_weights(FOLDER / "weights.npz")), tape, tested)
    for counts, told in zip(found.actions, result["trained"]["actions"], strict=True):
        assert counts == pytest.approx(told, abs=DECISIONS)
    for fee, net in result["trained"]["net_log_return"].items():
        assert found.net_log_return(float(fee)) == pytest.approx(net, abs=LOG_RETURN)


def test_the_strategic_weights_earn_what_their_card_says_and_act_as_it_says():
    card = json.loads((STRATEGIC_FOLDER / "card.json").read_text(encoding="utf-8"))
    file = (STRATEGIC_FOLDER / "weights.npz").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(file).hexdigest()
    (result,) = card["results"]
    tape = record(load_bars("eurusd-1h"), STRATEGIC)
    assert result["data"]["sha256"] == tape.bars.sha256
    tested = range(tape.decisions.stop - result["trained"]["bars"], tape.decisions.stop)
    assert tape.bars.close_time(tested.start) == result["data"]["test_first"]
    policy = strategic_policy_of(load_strategic_weights(STRATEGIC_FOLDER / "weights.npz"))
    found = evaluate(policy, tape, tested)
    for counts, told in zip(found.actions, result["trained"]["actions"], strict=True):
        assert counts == pytest.approx(told, abs=DECISIONS)
    for fee, net in result["trained"]["net_log_return"].items():
        assert found.net_log_return(float(fee)) == pytest.approx(net, abs=LOG_RETURN)


@pytest.fixture
def repository():
    loaded = ModelRepository(MODELS, RepositorySettings(versions="all"))
    loaded.refresh()
    yield loaded
    loaded.close()


def test_all_versions_load_pass_the_gate_and_agree(repository):
    statuses = repository.statuses()
    found = {(each.name, each.version): each.state for each in statuses}
    expected = dict.fromkeys(
        [("strategic", 1), ("tactical", 1), ("tactical", 2)], VersionState.READY
    )
    assert found == expected, statuses
    data = read_data("eurusd-1h", "", CalibrationSettings())
    with repository.acquire("tactical", 1) as parent, repository.acquire("tactical", 2) as child:
        before, after = policy_in(parent), policy_in(child)
        report = measure_gate(before, after, data, GateSettings())
        manifest = child.manifest
        assert manifest.metadata["parent"]["sha256"] == parent.manifest.sha256
    assert manifest.quantization == "int8-static"
    assert report.passed, report.reasons
    written = manifest.metadata["gate"]
    assert written["held_out_sha256"] == data.tape.bars.sha256
    assert written["bars"] == report.agreement.rows == len(data.held_out)
    assert report.agreement.shares == pytest.approx(written["agreement"], abs=0.01)


def test_what_the_gate_measured_of_the_parent_is_what_the_card_says(card):
    manifest = json.loads((MODELS / "tactical" / "2" / "model.json").read_text(encoding="utf-8"))
    (result,) = card["results"]
    gate = manifest["metadata"]["gate"]
    assert gate["bars"] == result["trained"]["bars"]
    told = result["trained"]["net_log_return"]["0.2"]
    assert gate["net_log_return_before"] == pytest.approx(told, abs=LOG_RETURN)


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_drift_references_are_those_of_the_bars_trained_on(card, version):
    (result,) = card["results"]
    tape = record(load_bars("eurusd-1h"))
    split = SplitSettings(**card["split_settings"])
    (parts,) = walk_forward("EURUSD", tape.decisions, split, train_bars_min=1)
    assert tape.bars.close_time(parts.train[-1]) == result["data"]["train_last"]
    policy = policy_of(load_weights(FOLDER / "weights.npz"))
    (made,) = references(policy, [tape], [parts])
    written = read_references(MODELS / "tactical" / version)["EURUSD"]
    assert written.data_sha256 == result["data"]["sha256"]
    for found, told in zip(made.columns, written.columns, strict=True):
        assert found.edges == told.edges
        assert found.counts == pytest.approx(told.counts, abs=DECISIONS)
        assert found.noise_scale == pytest.approx(told.noise_scale, rel=0.05)


def drifting(tape, bars):
    """Return for each look of a monitor at these bars the day, and the features that drift."""
    monitor = DriftMonitor(read_references(FOLDER)["EURUSD"])
    looks = []
    for count, bar in enumerate(bars, 1):
        monitor.observe(tape.rows[bar].tolist())
        if count % LOOK_BARS == 0 and count >= BARS_MIN:
            looks.append((tape.bars.close_time(bar)[:10], monitor.look().drifting))
    return looks


def test_on_the_bars_tested_on_one_feature_drifts_for_two_days_and_no_other_ever(card):
    (result,) = card["results"]
    tape = record(load_bars("eurusd-1h"))
    tested = range(tape.decisions.stop - result["trained"]["bars"], tape.decisions.stop)
    looks = drifting(tape, tested)
    assert len(looks) == 67
    found = [(day, names) for day, names in looks if names]
    assert found == [("2017-11-22", ("fvg_age",)), ("2017-11-23", ("fvg_age",))]


def test_on_daily_bars_of_a_share_every_look_says_so():
    tape = record(load_bars("ibm-1d"))
    looks = drifting(tape, tape.decisions[:1_000])
    assert len(looks) == 32
    moved = {"price_momentum_5", "fvg_nearest_level", "volume_ratio"}
    assert [set(names) for _, names in looks] == [moved] * len(looks)
