"""The numpy engine: what it computes, and which files it refuses."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
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
from bellwire.agents.inference.engines import (
    EngineSettings,
    Layer,
    load_engine,
    numpy_engine,
    numpy_model,
)

SETTINGS = EngineSettings()
ONE_OUTPUT = {"outputs": (TensorSpec("p", "FP32", (6,)),)}


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 4)).astype("<f4")


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_outputs_of_every_batch_are_those_of_the_network(
    tmp_path: Path, stored: PUBLISH, batch: int
) -> None:
    engine = load_engine(tmp_path, stored("numpy", npz_bytes()), SETTINGS)
    x = rows(batch)
    outputs = engine.infer({"x": x})
    assert list(outputs) == ["p", "v"]
    for name, wanted in expected(x).items():
        assert outputs[name].dtype == np.dtype("<f4")
        np.testing.assert_allclose(outputs[name], wanted, atol=1e-6)


def test_every_kind_of_layer_computes_what_it_says(tmp_path: Path, stored: PUBLISH) -> None:
    """Two inputs joined, two heads of three actions each: the shape of the tactical networks."""
    weights = np.random.default_rng(1).normal(size=(5, 6)).astype("<f4")
    bias = np.arange(6, dtype="<f4")
    layers: list[Layer] = [
        {"op": "concat", "from": ["x", "position"]},
        {"op": "dense", "weights": "w", "bias": "b"},
        {"op": "relu"},
        {"op": "reshape", "shape": [2, 3]},
        {"op": "softmax", "to": "p"},
    ]
    specs = {
        "inputs": (TensorSpec("x", "FP32", (4,)), TensorSpec("position", "FP32", (1,))),
        "outputs": (TensorSpec("p", "FP32", (2, 3)),),
    }
    content = numpy_model(layers, {"w": weights, "b": bias})
    engine = load_engine(tmp_path, stored("numpy", content, **specs), SETTINGS)
    x, position = rows(3), np.array([[-1], [0], [1]], "<f4")
    given = engine.infer({"x": x, "position": position})["p"]
    hidden = np.maximum(np.hstack([x, position]) @ weights + bias, 0).reshape(3, 2, 3)
    wanted = np.exp(hidden) / np.exp(hidden).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(given, wanted, atol=1e-6)


def test_output_stays_as_it_is_when_the_input_is_written_to(
    tmp_path: Path, stored: PUBLISH
) -> None:
    layers: list[Layer] = [
        {"op": "slice", "start": 0, "stop": 3, "to": "p"},
        {"op": "reshape", "from": "x", "shape": [2, 2], "to": "v"},
    ]
    outputs = (TensorSpec("p", "FP32", (3,)), TensorSpec("v", "FP32", (2, 2)))
    manifest = stored("numpy", numpy_model(layers, {}), outputs=outputs)
    x = np.ones((1, 4), "<f4")
    given = load_engine(tmp_path, manifest, SETTINGS).infer({"x": x})
    x[:] = 7
    assert [array.max() for array in given.values()] == [1, 1]


def test_softmax_of_large_logits_does_not_overflow(tmp_path: Path, stored: PUBLISH) -> None:
    content = numpy_model([{"op": "softmax", "to": "p"}], {})
    specs = {"outputs": (TensorSpec("p", "FP32", (4,)),)}
    engine = load_engine(tmp_path, stored("numpy", content, **specs), SETTINGS)
    given = engine.infer({"x": np.array([[1e30, 0, -1e30, 0]], "<f4")})["p"]
    assert given.tolist() == [[1, 0, 0, 0]]


def test_outputs_that_are_not_finite_are_no_answer(tmp_path: Path, stored: PUBLISH) -> None:
    content = numpy_model(
        [{"op": "dense", "weights": "w", "to": "p"}], {"w": np.full((4, 6), 1e30, "<f4")}
    )
    engine = load_engine(tmp_path, stored("numpy", content, **ONE_OUTPUT), SETTINGS)
    with pytest.raises(EngineFailedError, match="'p' has NaN or infinite"):
        engine.infer({"x": np.full((1, 4), 1e30, "<f4")})
    assert engine.infer({"x": np.zeros((1, 4), "<f4")})["p"].tolist() == [[0] * 6]


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([], "0 layers"),
        ([{"op": "dense", "weights": "w", "to": "p"}] * 257, "257 layers"),
        ([{"op": "convolve", "to": "p"}], "layer 0.*convolve"),
        ([{"op": "dense", "weights": "absent", "to": "p"}], "layer 0.*absent"),
        ([{"op": "dense", "to": "p"}], "layer 0.*weights"),
        ([{"op": "clamp", "low": 1, "high": 0, "to": "p"}], "low 1.0 is above high 0.0"),
        ([{"op": "slice", "start": 2, "stop": 2, "to": "p"}], "no part from 2 to 2"),
        ([{"op": "relu", "from": ["x", "x"], "to": "p"}], "only concat"),
        ([{"op": "relu", "from": "nowhere", "to": "p"}], "nowhere"),
        ([{"op": "relu", "to": "p"}], r"\(batch, 6\)"),
        ([{"op": "dense", "weights": "w", "to": "q"}], "'p'"),
        (["relu"], "layers"),
    ],
)
def test_layers_that_cannot_be_are_refused(
    tmp_path: Path, stored: PUBLISH, layers: list[dict[str, object]], found: str
) -> None:
    content = numpy_model(layers, {"w": WEIGHTS})
    with pytest.raises(InvalidModelError, match=found):
        load_engine(tmp_path, stored("numpy", content, **ONE_OUTPUT), SETTINGS)


def test_shape_that_mixes_up_rows_is_refused(tmp_path: Path, stored: PUBLISH) -> None:
    half, row = {"op": "slice", "start": 0, "stop": 2}, {"op": "reshape", "to": "p"}
    specs = {"outputs": (TensorSpec("p", "FP32", (2,)),)}
    load_engine(
        tmp_path, stored("numpy", numpy_model([half, row | {"shape": [2]}], {}), **specs), SETTINGS
    )
    with pytest.raises(InvalidModelError, match="reshape"):
        load_engine(
            tmp_path,
            stored("numpy", numpy_model([half, row | {"shape": [1]}], {}), **specs),
            SETTINGS,
        )


@pytest.mark.parametrize("content", [b"", b"no archive", npz_bytes()[:-30], onnx_bytes()])
def test_damaged_file_is_refused(tmp_path: Path, stored: PUBLISH, content: bytes) -> None:
    with pytest.raises(InvalidModelError, match=r"expected an [.]npz of layers"):
        load_engine(tmp_path, stored("numpy", content), SETTINGS)


def test_pickled_objects_are_never_loaded(tmp_path: Path, stored: PUBLISH) -> None:
    content = io.BytesIO()
    np.savez(content, layers=np.array(json.dumps([])), w=np.array([print], dtype=object))
    with pytest.raises(InvalidModelError, match="allow_pickle"):
        load_engine(tmp_path, stored("numpy", content.getvalue()), SETTINGS)


def test_archive_that_opens_to_more_than_its_bound_is_refused(
    tmp_path: Path, stored: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_engine, "ARRAYS_BYTES_MAX", 100)
    with pytest.raises(InvalidModelError, match="bytes when opened, above 100"):
        load_engine(tmp_path, stored("numpy", npz_bytes()), SETTINGS)


def test_array_may_not_take_the_place_of_the_layers() -> None:
    with pytest.raises(ValueError, match="no array may be called 'layers'"):
        numpy_model([], {"layers": WEIGHTS})


def test_another_device_is_refused(tmp_path: Path, stored: PUBLISH) -> None:
    with pytest.raises(EngineMissingError, match="it computes on the cpu"):
        load_engine(tmp_path, stored("numpy", npz_bytes()), EngineSettings(device="cuda"))


def test_closed_engine_says_so(tmp_path: Path, stored: PUBLISH) -> None:
    engine = load_engine(tmp_path, stored("numpy", npz_bytes()), SETTINGS)
    engine.close()
    with pytest.raises(EngineFailedError, match="closed"):
        engine.infer({"x": rows(1)})
