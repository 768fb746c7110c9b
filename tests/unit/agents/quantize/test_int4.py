"""4-bit weights."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.unit.agents.quantize.conftest import policy_of

from bellwire.agents.quantize.int4 import BLOCK, NothingToQuantizeError, int4_weights
from bellwire.agents.quantize.nibbles import pack


def unpacked_parent(content):
    """The parent in floats, its weights being what 4 bits leave of them."""
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.name in ("w1", "w2"):
            weights = pack(numpy_helper.to_array(tensor), BLOCK).unpacked()
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return model.SerializeToString()


def test_onnx_runtime_reads_the_weights_that_were_packed(graph, calibration):
    asked = calibration.observations, calibration.positions
    expected = policy_of(unpacked_parent(graph))(*asked)
    found = policy_of(int4_weights(graph))(*asked)
    assert found == pytest.approx(expected, abs=0.05)  # inputs are in 8 bits within the product
    before = policy_of(graph)(*asked)
    assert np.abs(found - expected).mean() < 0.3 * np.abs(found - before).mean()


def test_the_float_weights_are_gone(graph):
    model = onnx.load_from_string(int4_weights(graph))
    assert {node.op_type for node in model.graph.node} >= {"MatMulNBits", "Add", "Softmax"}
    assert "MatMul" not in {node.op_type for node in model.graph.node}
    names = {tensor.name for tensor in model.graph.initializer}
    assert not names & {"w1", "w2"}
    assert {"b1", "b2", "shape"} <= names


def test_equal_models_give_equal_bytes(graph):
    assert int4_weights(graph) == int4_weights(graph)


def test_a_graph_of_gemm_alone_has_nothing_to_quantize(gemm_graph):
    with pytest.raises(
        NothingToQuantizeError, match="no MatMul with constant weights among Clip, "
    ):
        int4_weights(gemm_graph)


def test_a_product_of_two_inputs_is_left_alone(graph):
    model = onnx.load_from_string(graph)
    square = onnx.helper.make_node("MatMul", ["value", "value"], ["unused"], "square")
    model.graph.node.append(square)
    made = onnx.load_from_string(int4_weights(model.SerializeToString()))
    assert [node.name for node in made.graph.node if node.op_type == "MatMul"] == ["square"]
