"""Requests measured, put together and taken apart."""

import numpy as np
import pytest
from tests.unit.agents.inference.scripted import manifest

from bellwire.agents.inference import (
    EngineFailedError,
    InferenceRequest,
    InvalidTensorError,
    ModelManifest,
    Tensors,
    TensorSpec,
)
from bellwire.agents.inference.batching.rows import RowShape, split


def shape() -> RowShape:
    """Of a model with a matrix and a scalar in each row."""
    model = manifest()
    two = ModelManifest(
        name=model.name,
        version=1,
        engine="numpy",
        file=model.file,
        sha256=model.sha256,
        inputs=(TensorSpec("x", "FP32", (2,)), TensorSpec("symbol", "INT64", ())),
        outputs=model.outputs,
    )
    return RowShape(two, rows_max=8, bytes_max=1_000)


def inputs(rows: int, symbols: int | None = None) -> Tensors:
    return {
        "x": np.full((rows, 2), rows, np.float32),
        "symbol": np.arange(rows if symbols is None else symbols),
    }


def test_a_request_is_measured_in_rows_and_in_bytes_of_all_inputs() -> None:
    assert shape().measure(InferenceRequest("toy", inputs(3))) == (3, 3 * (8 + 8))


def test_all_inputs_have_the_same_rows() -> None:
    with pytest.raises(InvalidTensorError, match="'symbol' is 2 rows, expected 3 rows"):
        shape().measure(InferenceRequest("toy", inputs(3, symbols=2)))


def test_a_scalar_for_each_row_still_needs_rows() -> None:
    lonely = {**inputs(1), "symbol": np.array(1)}
    with pytest.raises(InvalidTensorError, match=r"int64 of shape \(\), expected INT64"):
        shape().measure(InferenceRequest("toy", lonely))


def test_rows_are_joined_in_order_and_split_again() -> None:
    joined = shape().join([inputs(1), inputs(2), inputs(3)])
    assert joined["x"][:, 0].tolist() == [1, 2, 2, 3, 3, 3]
    assert joined["symbol"].tolist() == [0, 0, 1, 0, 1, 2]
    part = split(list(joined.items()), 1, 2)
    assert (part["x"].tolist(), part["symbol"].tolist()) == ([[2, 2], [2, 2]], [0, 1])


def test_a_single_request_is_not_copied() -> None:
    alone = inputs(2)
    assert shape().join([alone]) is alone


def test_only_floating_numbers_are_looked_at() -> None:
    fine = inputs(2)
    assert shape().are_finite(fine)
    assert not shape().are_finite({**fine, "x": np.array([[1, np.nan]], np.float32)})


def test_an_output_without_rows_is_a_failure() -> None:
    with pytest.raises(EngineFailedError, match="'y': 0 rows, expected 1"):
        shape().check_outputs({"y": np.array(1.0)}, 1)
