"""bellwire.agents.quantize.training: what a manifest tells of a training, or that it cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from bellwire.agents.inference import InvalidModelError, read_manifest
from bellwire.agents.quantize import Training, training_of
from bellwire.agents.tactical.model_endpoint import BUNDLED_PARENT
from bellwire.agents.train import SplitSettings, load_bars

TOLD = {
    "fee_bp": 1.5,
    "split": {"test_share": 0.4, "folds": 3, "embargo_bars": 10},
    "tested_from": {"ab" * 32: "1970-01-01T00:01:00Z"},
}


@pytest.fixture
def manifest():
    return read_manifest(BUNDLED_PARENT)


def test_what_the_manifest_tells_is_returned(manifest):
    found = training_of(replace(manifest, metadata=TOLD), Path("m"))
    assert found == Training(1.5, SplitSettings(0.4, 3, 10), {"ab" * 32: 60 * 10**9})


def test_what_it_leaves_out_is_as_by_default(manifest):
    assert training_of(replace(manifest, metadata={"card": "card.json"}), Path("m")) == Training()


def test_the_bundled_model_names_its_first_tested_close(manifest):
    bars = load_bars("eurusd-1h")
    found = training_of(manifest, BUNDLED_PARENT)
    assert found.tested_from == {bars.sha256: int(bars.close_times[4_381])}


@pytest.mark.parametrize(
    "wrong",
    [
        {"fee_bp": "0.2"},
        {"fee_bp": -1.0},
        {"split": {"test_share": 7.0}},
        {"split": {"unknown": 1}},
        {"split": [1]},
        {"tested_from": "2017"},
        {"tested_from": {"ab": 2017}},
        {"tested_from": {"ab": "yesterday"}},
        {"tested_from": {"ab": "2017-09-13T11:00:00"}},
    ],
)
def test_what_cannot_be_is_refused_with_the_manifests_name(manifest, wrong):
    with pytest.raises(
        InvalidModelError, match=r"m/model\.json.*metadata: .*as the trainer"
    ) as caught:
        training_of(replace(manifest, metadata={**TOLD, **wrong}), Path("m"))
    assert caught.value.path == "m/model.json"
