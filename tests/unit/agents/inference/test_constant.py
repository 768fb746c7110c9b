"""The endpoint that always says the same."""

import numpy as np
import pytest
from tests.unit.agents.inference.scripted import ask

from bellwire.agents.inference import InferenceRequest, InvalidTensorError, Tensors, TensorSpec
from bellwire.agents.inference.constant import ConstantEndpoint, hold


async def test_every_row_gets_the_same_outputs_and_its_own_memory() -> None:
    endpoint = ConstantEndpoint("neutral", {"p": np.array([0.2, 0.8], np.float32)})
    result = await endpoint.infer(ask(1, 2))
    assert (result.answered_by, result.batch_size, endpoint.manifests()) == ("neutral", 0, ())
    result.outputs["p"][0] = 0
    again = await endpoint.infer(ask(1, 2))
    assert again.outputs["p"].tolist() == [[np.float32(0.2), np.float32(0.8)]] * 2
    assert endpoint.answers == 2


async def test_hold_is_certain_of_the_middle_action_and_of_no_value() -> None:
    specs = (TensorSpec("p", "FP32", (2, 3)), TensorSpec("v", "FP32", (1,)))
    outputs = (await hold(specs).infer(ask(1))).outputs
    assert outputs["p"].tolist() == [[[0, 1, 0], [0, 1, 0]]]
    assert outputs["v"].tolist() == [[0]]
    assert outputs["p"].dtype == np.float32


@pytest.mark.parametrize(
    "inputs", [{}, {"x": np.zeros(())}, {"x": np.zeros((0, 3))}, {"x": np.zeros((10**9, 0))}]
)
async def test_what_has_no_rows_or_too_many_is_refused(inputs: Tensors) -> None:
    with pytest.raises(InvalidTensorError, match="1 … 65536"):
        await ConstantEndpoint("hold", {}).infer(InferenceRequest("toy", inputs))
