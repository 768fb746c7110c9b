"""8-bit integers."""

import numpy as np
import onnx
import pytest
from tests.unit.agents.quantize.conftest import policy_of, some_observations

from bellwire.agents.quantize import Method
from bellwire.agents.quantize.int8 import int8_dynamic, int8_static

# Of the probabilities, weights being random; the two products give about half of it.
ERROR_MAX = 0.05


def quantized(method, content, calibration):
    if method is Method.INT8_STATIC:
        return int8_static(content, calibration)
    return int8_dynamic(content)


def others(calibration):
    """As many observations, which it was not calibrated with."""
    return some_observations(len(calibration.positions), seed=4).reshape(-1, 420)


@pytest.mark.parametrize("method", [Method.INT8_STATIC, Method.INT8_DYNAMIC])
@pytest.mark.parametrize("layers", ["graph", "gemm_graph"])
def test_it_answers_nearly_as_its_parent_in_a_quarter_of_the_bytes(
    request, layers, method, calibration
):
    content = request.getfixturevalue(layers)
    made = quantized(method, content, calibration)
    assert len(made) < 0.45 * len(content)  # names and nodes weigh more in so small a network
    asked = others(calibration), calibration.positions
    before, after = policy_of(content)(*asked), policy_of(made)(*asked)
    error = abs(before - after).max()
    assert 0.0 < error < ERROR_MAX
    assert after.sum(axis=2) == pytest.approx(1.0, abs=1e-5)


def test_equal_data_give_equal_bytes(graph, calibration):
    assert int8_static(graph, calibration) == int8_static(graph, calibration)


def test_names_of_tensors_and_the_free_batch_stay(graph, calibration):
    before = onnx.load_from_string(graph).graph
    after = onnx.load_from_string(int8_static(graph, calibration)).graph
    assert [each.SerializeToString() for each in before.input] == [
        each.SerializeToString() for each in after.input
    ]
    assert [each.name for each in before.output] == [each.name for each in after.output]


def test_probabilities_are_not_rounded_to_256_steps(graph, calibration):
    nodes = onnx.load_from_string(int8_static(graph, calibration)).graph.node
    made_by = {name: node.op_type for node in nodes for name in node.output}
    assert made_by["probabilities"] == "Softmax"


def test_a_static_row_is_answered_alike_alone_and_in_company(graph, calibration):
    policy = policy_of(int8_static(graph, calibration))
    rows, positions = others(calibration)[:8], calibration.positions[:8]
    together = policy(rows, positions)
    alone = [policy(rows[i : i + 1], positions[i : i + 1])[0] for i in range(8)]
    assert together == pytest.approx(np.stack(alone), abs=1e-6)


@pytest.mark.parametrize("method", [Method.INT8_STATIC, Method.INT8_DYNAMIC])
def test_each_channel_of_weights_has_a_range_of_its_own(graph, calibration, method):
    model = onnx.load_from_string(quantized(method, graph, calibration))
    scales = {
        each.name: list(each.dims) for each in model.graph.initializer if "scale" in each.name
    }
    assert scales["w1_scale"] == [32]
    assert scales["w2_scale"] == [10]
