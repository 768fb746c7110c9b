"""ONNX Runtime as an engine: what it computes, and which files it refuses."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.unit.agents.inference.engines.conftest import (
    PUBLISH,
    WEIGHTS,
    expected,
    npz_bytes,
    onnx_bytes,
)

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    InvalidModelError,
    TensorSpec,
)
from bellwire.agents.inference.engines import EngineSettings, load_engine

SETTINGS = EngineSettings()


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 4)).astype("<f4")


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_outputs_of_every_batch_are_those_of_the_network(
    tmp_path: Path, stored: PUBLISH, batch: int
) -> None:
    manifest = stored("onnx", onnx_bytes())
    engine = load_engine(tmp_path, manifest, SETTINGS)
    x = rows(batch)
    outputs = engine.infer({"x": x})
    assert list(outputs) == ["p", "v"]
    for name, wanted in expected(x).items():
        assert outputs[name].dtype == np.dtype("<f4")
        np.testing.assert_allclose(outputs[name], wanted, atol=1e-6)


def test_an_answer_stays_as_it_is_when_the_next_is_computed(
    tmp_path: Path, stored: PUBLISH
) -> None:
    engine = load_engine(tmp_path, stored("onnx", onnx_bytes()), SETTINGS)
    x = rows(2)
    first = engine.infer({"x": x[:1]})
    engine.infer({"x": x[1:]})
    np.testing.assert_allclose(first["p"], expected(x[:1])["p"], atol=1e-6)


def test_threads_that_take_no_turns_get_no_mixture(tmp_path: Path, stored: PUBLISH) -> None:
    engine = load_engine(tmp_path, stored("onnx", onnx_bytes()), SETTINGS)

    def ask_often(row: np.ndarray) -> bool:
        wanted = expected(row)["p"]
        answers = (engine.infer({"x": row})["p"] for _ in range(2_000))
        return all(np.allclose(answer, wanted, atol=1e-6) for answer in answers)

    rows_apart = [10 * rows(4)[[number]] for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask_often, rows_apart)) == [True] * 4


def test_inputs_off_the_wire_are_read_only_and_computed_all_the_same(
    tmp_path: Path, stored: PUBLISH
) -> None:
    engine = load_engine(tmp_path, stored("onnx", onnx_bytes()), SETTINGS)
    for batch in (1, 3):
        x = rows(batch)
        from_wire = np.frombuffer(x.tobytes(), "<f4").reshape(batch, 4)
        np.testing.assert_allclose(engine.infer({"x": from_wire})["p"], expected(x)["p"], atol=1e-6)


def test_file_that_was_changed_since_its_manifest_is_refused(
    tmp_path: Path, stored: PUBLISH
) -> None:
    manifest = stored("onnx", onnx_bytes())
    with (tmp_path / manifest.file).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InvalidModelError, match="sha256") as refused:
        load_engine(tmp_path, manifest, SETTINGS)
    assert refused.value.expected.startswith(manifest.sha256)


def test_file_that_is_absent_is_refused(tmp_path: Path, stored: PUBLISH) -> None:
    manifest = stored("onnx", onnx_bytes())
    (tmp_path / manifest.file).unlink()
    with pytest.raises(InvalidModelError, match="No such file"):
        load_engine(tmp_path, manifest, SETTINGS)


@pytest.mark.parametrize("content", [b"", b"no graph", onnx_bytes()[:-40], npz_bytes()])
def test_damaged_file_is_refused(tmp_path: Path, stored: PUBLISH, content: bytes) -> None:
    with pytest.raises(InvalidModelError):
        load_engine(tmp_path, stored("onnx", content), SETTINGS)


def test_weights_in_another_file_are_not_taken(
    tmp_path: Path, stored: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # Where ONNX Runtime would look for it.
    model = onnx.load_from_string(onnx_bytes())
    outside = tmp_path / "outside.onnx"
    onnx.save(
        model,
        outside,
        save_as_external_data=True,
        location="outside.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    with pytest.raises(InvalidModelError):
        load_engine(tmp_path, stored("onnx", outside.read_bytes()), SETTINGS)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (onnx_bytes(features=3), "'x' is tensor.float. of shape .'batch', 3."),
        (onnx_bytes(kind=TensorProto.DOUBLE), "'x' is tensor.double."),
        (onnx_bytes(batch=8), "'x' is tensor.float. of shape .8, 4."),
    ],
    ids=["another size", "another dtype", "a fixed batch"],
)
def test_graph_that_is_not_what_the_manifest_says_is_refused(
    tmp_path: Path, stored: PUBLISH, content: bytes, found: str
) -> None:
    with pytest.raises(InvalidModelError, match=found):
        load_engine(tmp_path, stored("onnx", content), SETTINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": (TensorSpec("p", "FP32", (3,)),)},
        {"inputs": (TensorSpec("y", "FP32", (4,)),)},
        {"outputs": (TensorSpec("p", "FP32", (3,)), TensorSpec("v", "FP32", ()))},
    ],
    ids=["an output untold", "another input", "another rank"],
)
def test_manifest_that_tells_of_other_tensors_is_refused(
    tmp_path: Path, stored: PUBLISH, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidModelError):
        load_engine(tmp_path, stored("onnx", onnx_bytes(), **changes), SETTINGS)


def test_graph_of_one_row_is_fine_where_no_batch_is_larger(tmp_path: Path, stored: PUBLISH) -> None:
    engine = load_engine(tmp_path, stored("onnx", onnx_bytes(batch=1), batch_max=1), SETTINGS)
    x = rows(1)
    np.testing.assert_allclose(engine.infer({"x": x})["p"], expected(x)["p"], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2])
def test_failure_at_run_time_is_told_and_the_engine_stays_usable(
    tmp_path: Path, stored: PUBLISH, batch: int
) -> None:
    """A Gather whose index comes from the input fails for an index that is not there."""
    nodes = [helper.make_node("Gather", ["table", "x"], ["p"], axis=0)]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", 6])],
        [numpy_helper.from_array(WEIGHTS, "table")],
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    manifest = stored(
        "onnx",
        content,
        inputs=(TensorSpec("x", "INT64", ()),),
        outputs=(TensorSpec("p", "FP32", (6,)),),
    )
    engine = load_engine(tmp_path, manifest, SETTINGS)
    with pytest.raises(EngineFailedError, match="actor:1"):
        engine.infer({"x": np.full(batch, 99, "<i8")})
    outputs = engine.infer({"x": np.full(batch, 2, "<i8")})
    np.testing.assert_array_equal(outputs["p"], WEIGHTS[[2] * batch])


@pytest.mark.parametrize("batch", [1, 2])
def test_outputs_that_are_not_finite_are_no_answer(
    tmp_path: Path, stored: PUBLISH, batch: int
) -> None:
    nodes = [helper.make_node("Log", ["x"], ["p"])]
    graph = helper.make_graph(
        nodes,
        "log",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", 2])],
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    specs = {
        "inputs": (TensorSpec("x", "FP32", (2,)),),
        "outputs": (TensorSpec("p", "FP32", (2,)),),
    }
    engine = load_engine(tmp_path, stored("onnx", content, **specs), SETTINGS)
    with pytest.raises(EngineFailedError, match="'p' has NaN or infinite"):
        engine.infer({"x": np.array([[1, -1]] * batch, "<f4")})
    assert engine.infer({"x": np.ones((batch, 2), "<f4")})["p"].tolist() == [[0, 0]] * batch


def test_closed_engine_says_so(tmp_path: Path, stored: PUBLISH) -> None:
    engine = load_engine(tmp_path, stored("onnx", onnx_bytes()), SETTINGS)
    engine.close()
    with pytest.raises(EngineFailedError, match="closed"):
        engine.infer({"x": rows(1)})


def test_absent_package_is_named(
    tmp_path: Path, stored: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissingError, match=r"pip install 'bellwire.agents.'"):
        load_engine(tmp_path, stored("onnx", onnx_bytes()), SETTINGS)


def test_cuda_is_not_replaced_by_the_cpu_in_silence(tmp_path: Path, stored: PUBLISH) -> None:
    with pytest.raises(EngineMissingError, match="CUDA"):
        load_engine(tmp_path, stored("onnx", onnx_bytes()), EngineSettings(device="cuda"))


def test_engine_nobody_knows_is_refused(tmp_path: Path, stored: PUBLISH) -> None:
    with pytest.raises(
        InvalidModelError, match=r"engine 'abacus'; expected numpy or onnx or torch"
    ):
        load_engine(tmp_path, stored("abacus", onnx_bytes()), SETTINGS)
