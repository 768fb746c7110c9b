"""Which model the tactical policy of a demo asks."""

from __future__ import annotations

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
