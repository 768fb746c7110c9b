import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from tests.unit.agents.tactical.networks.conftest import draw_batch

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    GateFailedError,
    InferenceRequest,
    InvalidModelError,
    InvalidTensorError,
)
from bellwire.agents.inference.engines import model_file
from bellwire.agents.tactical.model_endpoint import open_endpoint
from bellwire.agents.tactical.networks import Variant, forward, initial_weights


@pytest.fixture
def folder(model_dir, tmp_path):
    return shutil.copytree(model_dir, tmp_path / "model")


def request(batch, **inputs):
    given = {"observation": batch.observation, "position": batch.position, **inputs}
    return InferenceRequest("tactical", given)


def rewrite_manifest(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


async def test_it_answers_with_what_the_networks_say_and_who_said_it(model_dir):
    endpoint, batch = open_endpoint(model_dir), draw_batch(5)
    result = await endpoint.infer(request(batch))
    expected = forward(initial_weights(Variant.TINY, 11), batch.observation, batch.position)
    assert np.abs(result.outputs["probabilities"] - expected.probabilities).max() < 1e-6
    assert (result.answered_by, result.quantization) == ("tactical:3", "none")
    assert (result.batch_size, result.close_reason) == (5, "IDLE")
    assert result.compute_seconds > 0.0
    assert [manifest.key for manifest in endpoint.manifests()] == ["tactical:3"]


async def test_inputs_that_do_not_fit_are_refused_by_name(model_dir):
    endpoint, batch = open_endpoint(model_dir), draw_batch(1)
    with pytest.raises(InvalidTensorError, match="observation"):
        await endpoint.infer(request(batch, observation=batch.observation[:, :419]))
    with pytest.raises(InvalidTensorError, match="NaN"):
        await endpoint.infer(request(batch, position=np.full((1, 1), np.nan, np.float32)))
    with pytest.raises(InvalidTensorError, match="'position' is absent"):
        await endpoint.infer(
            InferenceRequest("tactical", {"observation": np.zeros((1, 420), np.float32)})
        )


async def test_what_the_runtime_raises_is_a_failure_of_the_engine(model_dir):
    endpoint = open_endpoint(model_dir)
    batch = draw_batch(2)
    with pytest.raises(EngineFailedError, match="tactical:3"):
        await endpoint.infer(request(batch, position=batch.position[:1]))


def test_a_changed_file_is_refused(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InvalidModelError, match="sha256"):
        open_endpoint(folder)


def test_a_file_that_is_no_graph_is_refused(folder):
    (folder / "model.onnx").write_bytes(b"no graph")
    import hashlib

    rewrite_manifest(folder, sha256=hashlib.sha256(b"no graph").hexdigest())
    with pytest.raises(InvalidModelError, match="expected an ONNX model"):
        open_endpoint(folder)


def test_a_version_that_failed_its_gate_is_refused(folder):
    gate = {"passed": False, "reasons": ["entry agrees with the parent on 93 %"]}
    rewrite_manifest(folder, quantization="int4-weights", metadata={"gate": gate})
    with pytest.raises(GateFailedError, match="entry agrees with the parent on 93 %"):
        open_endpoint(folder)


def test_a_model_of_other_tensors_or_of_another_engine_is_refused(folder):
    rewrite_manifest(folder, engine="torch")
    with pytest.raises(InvalidModelError, match="engine 'torch'"):
        open_endpoint(folder)
    rewrite_manifest(folder, engine="onnx", inputs=[{"name": "x", "dtype": "FP32", "shape": [420]}])
    with pytest.raises(InvalidModelError, match=r"position \(batch, 1\)"):
        open_endpoint(folder)


def test_a_model_that_is_not_there_or_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(model_file, "FILE_BYTES_MAX", 100)
    with pytest.raises(InvalidModelError, match="expected at most 100"):
        open_endpoint(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(InvalidModelError, match="No such file"):
        open_endpoint(folder)
    with pytest.raises(InvalidModelError, match="No such file"):
        open_endpoint(folder / "nowhere")


def test_without_the_runtime_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissingError, match=r"bellwire\[agents\]"):
        open_endpoint(folder)


def test_a_graph_that_lies_about_its_inputs_is_refused(folder):
    """The manifest is as it should be, the graph wants one input more."""
    import hashlib

    model = onnx.load(folder / "model.onnx")
    extra = onnx.helper.make_tensor_value_info("extra", onnx.TensorProto.FLOAT, ["batch", 1])
    model.graph.input.append(extra)
    model.graph.node.append(onnx.helper.make_node("Identity", ["extra"], ["echo"]))
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    rewrite_manifest(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(InvalidModelError, match="inputs extra, observation, position; expected"):
        open_endpoint(folder)
