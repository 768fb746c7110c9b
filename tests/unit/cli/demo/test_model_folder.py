"""Which model the tactical policy of a demo asks."""

from __future__ import annotations

import json

import pytest

from bellwire.agents.tactical.networks import Variant, initial_weights
from bellwire.agents.tactical.onnx_graph import write_model
from bellwire.cli.demo.model_folder import model_folder
from bellwire.cli.faults import UsageFault


def test_a_folder_with_a_model_is_taken_and_made_absolute(tmp_path, monkeypatch):
    write_model(tmp_path / "mine", initial_weights(Variant.TINY, 0))
    monkeypatch.chdir(tmp_path)
    assert model_folder((tmp_path / "mine").relative_to(tmp_path)) == tmp_path / "mine"


def test_a_folder_without_one_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(UsageFault, match=r"No such file.*--model DIR.*--policy rules"):
        model_folder(tmp_path / "nothing")
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UsageFault, match=r"model\.json"):
        model_folder(tmp_path)


def test_a_model_that_may_not_decide_is_refused_with_the_reason(tmp_path):
    write_model(tmp_path, initial_weights(Variant.TINY, 0))
    manifest = json.loads((tmp_path / "model.json").read_text())
    gate = {"passed": False, "reasons": ["entry agrees in 93 %"]}
    manifest |= {"quantization": "int4-weights", "metadata": {"gate": gate}}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageFault, match="entry agrees in 93 %"):
        model_folder(tmp_path)


def test_a_model_that_cannot_be_loaded_is_refused(tmp_path):
    write_model(tmp_path, initial_weights(Variant.TINY, 0))
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UsageFault, match="sha256"):
        model_folder(tmp_path)
