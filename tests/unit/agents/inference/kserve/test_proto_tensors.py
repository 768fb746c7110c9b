"""Tensors of the gRPC service: raw, or as lists of numbers."""

import numpy as np
import pytest

from bellwire.agents.inference import DTYPES, InvalidTensorError
from bellwire.agents.inference.kserve.contract import ModelInferRequest, ModelInferResponse
from bellwire.agents.inference.kserve.proto_tensors import add_outputs, read_inputs


def asked(datatype="FP32", shape=(2,), raw=(), **contents):
    tensor = {"name": "x", "datatype": datatype, "shape": shape}
    if contents:
        tensor["contents"] = contents
    return ModelInferRequest(inputs=[tensor], raw_input_contents=raw)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
@pytest.mark.parametrize("raw", [True, False])
def test_what_is_answered_can_be_asked_again(dtype: str, raw: bool) -> None:
    array = np.array([[1], [0]], DTYPES[dtype])
    response = ModelInferResponse()
    add_outputs(response, {"x": array}, raw=raw)
    assert bool(response.raw_output_contents) == (raw or dtype == "FP16")
    (output,) = response.outputs
    request = ModelInferRequest(raw_input_contents=response.raw_output_contents)
    request.inputs.add().MergeFromString(output.SerializeToString())
    back = read_inputs(request)["x"]
    assert (back.dtype, back.tolist()) == (array.dtype, array.tolist())


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (asked(fp32_contents=[1]), "1 fp32_contents long, expected 2 for shape (2,)"),
        (asked(int_contents=[1, 2]), "0 fp32_contents long"),
        (asked(), "0 fp32_contents long"),
        (asked("INT8", int_contents=[1, 300]), "out of range"),
        (asked("FP16", fp32_contents=[1, 2]), "FP16 in contents, expected raw_input_contents"),
        (asked("BYTES", bytes_contents=[b"a", b"b"]), "of dtype 'BYTES'"),
        (asked(raw=[bytes(4)]), "4 bytes long, expected 8"),
        (asked(raw=[bytes(8), bytes(8)]), "one of 1 with 2 raw_input_contents"),
        (asked(raw=[bytes(8)], fp32_contents=[1, 2]), "given twice"),
        (asked(shape=[-1]), "no size below 0"),
        (asked(shape=[2**62]), "expected at most 1048576 bytes"),
    ],
)
def test_contents_that_do_not_fit_are_refused_by_the_tensors_name(request_, says) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        read_inputs(request_)
    assert caught.value.name == "x"
    assert says in caught.value.message


def test_a_name_twice_is_refused() -> None:
    request = asked(fp32_contents=[1, 2])
    request.inputs.append(request.inputs[0])
    with pytest.raises(InvalidTensorError, match="there twice"):
        read_inputs(request)
