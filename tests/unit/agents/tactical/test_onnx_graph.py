import hashlib
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from tests.unit.agents.tactical.networks.conftest import draw_batch, draw_weights

from bellwire.agents.inference import EngineMissingError, InvalidModelError, read_manifest
from bellwire.agents.tactical.networks import Variant, forward
from bellwire.agents.tactical.onnx_graph import graph_bytes, write_model


def run(path, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {"observation": batch.observation, "position": batch.position}
    return session.run(["probabilities", "value"], given)


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("variant", list(Variant))
def test_the_runtime_says_what_numpy_says(variant, rows, tmp_path):
    weights, batch = draw_weights(variant), draw_batch(rows)
    manifest = write_model(tmp_path, weights)
    probabilities, value = run(tmp_path / manifest.file, batch)
    expected = forward(weights, batch.observation, batch.position)
    assert np.abs(probabilities - expected.probabilities).max() < 1e-6
    scale = max(1.0, float(np.abs(expected.value).max()))
    assert np.abs(value - expected.value).max() / scale < 1e-6


@pytest.mark.parametrize("variant", list(Variant))
def test_the_manifest_describes_the_file_beside_it(variant, tmp_path):
    written = write_model(
        tmp_path / "tactical" / "3",
        draw_weights(variant),
        version=3,
        metadata={"card": {"fee_bp": 1.0}},
    )
    manifest = read_manifest(tmp_path / "tactical" / "3")
    assert manifest == written
    assert (manifest.key, manifest.engine, manifest.quantization) == ("tactical:3", "onnx", "none")
    content = (tmp_path / "tactical" / "3" / manifest.file).read_bytes()
    assert manifest.sha256 == hashlib.sha256(content).hexdigest()
    assert manifest.metadata == {"card": {"fee_bp": 1.0}, "variant": str(variant)}
    graph = onnx.load_from_string(content).graph
    for specs, infos in ((manifest.inputs, graph.input), (manifest.outputs, graph.output)):
        for spec, info in zip(specs, infos, strict=True):
            sizes = info.type.tensor_type.shape.dim
            assert spec.name == info.name
            assert sizes[0].dim_param == "batch"
            assert tuple(size.dim_value for size in sizes[1:]) == spec.shape


@pytest.mark.parametrize("variant", list(Variant))
def test_the_same_weights_give_the_same_bytes(variant):
    assert graph_bytes(draw_weights(variant)) == graph_bytes(draw_weights(variant))


@pytest.mark.parametrize("variant", list(Variant))
def test_every_product_is_a_matmul_so_that_all_quantizers_take_it(variant):
    kinds = [
        node.op_type
        for node in onnx.load_from_string(graph_bytes(draw_weights(variant))).graph.node
    ]
    assert "Gemm" not in kinds
    assert kinds.count("MatMul") == (2 if variant is not Variant.CONV else 3 * 4 + 4)


def test_a_model_is_replaced_and_nothing_else_is_left_in_the_folder(tmp_path):
    write_model(tmp_path, draw_weights(Variant.TINY, 1))
    first = json.loads((tmp_path / "model.json").read_text())
    write_model(tmp_path, draw_weights(Variant.TINY, 2))
    assert json.loads((tmp_path / "model.json").read_text())["sha256"] != first["sha256"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]


def test_a_name_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(InvalidModelError, match="name"):
        write_model(tmp_path, draw_weights(Variant.TINY), name="a/b")


def test_without_onnx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineMissingError, match=r"bellwire\[models\]"):
        graph_bytes(draw_weights(Variant.TINY))


def test_importing_the_tactical_modules_loads_neither_onnx_nor_torch():
    code = (
        "import sys, bellwire.agents.tactical.onnx_graph, bellwire.agents.tactical.networks;"
        "print([name for name in ('onnx', 'torch', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
