"""Requests over HTTP: JSON, and tensors as bytes behind it."""

import json

import numpy as np
import pytest

from bellwire.agents.inference import InvalidTensorError
from bellwire.agents.inference.kserve.json_request import HttpAsked, read_request
from bellwire.wire.errors import CallerError


def body(data=(1, 2, 3, 4), shape=(1, 4), datatype="FP32", **fields) -> bytes:
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    return json.dumps({"inputs": [tensor], **fields}).encode()


def read(text: bytes, json_bytes: int | None = None) -> HttpAsked:
    return read_request("tactical", "2", text, json_bytes)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4.0]]])
def test_data_may_be_flat_or_nested_as_the_shape(data) -> None:
    asked = read(body(data, (2, 2))).asked
    assert asked.inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert asked.inputs["x"].dtype == np.dtype("<f4")
    assert (asked.model, asked.version) == ("tactical", "2")


def test_id_outputs_and_parameters_are_taken_along() -> None:
    http = read(
        body(
            id="7",
            outputs=[{"name": "p", "parameters": {"binary_data": True}}, {"name": "action"}],
            parameters={"key": "EURUSD", "priority": 3, "odd": {"deep": 1}},
        )
    )
    assert (http.asked.id, http.asked.outputs) == ("7", ("p", "action"))
    assert http.asked.parameters == {"key": "EURUSD", "priority": 3}
    assert (http.binary, http.binary_default) == ({"p": True}, False)


def test_tensors_behind_the_json_are_read_in_their_order() -> None:
    one, two = np.arange(4, dtype="<f4"), np.arange(2, dtype="<i8")
    inputs = [
        {"name": "a", "shape": [4], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
        {"name": "b", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "c", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}},
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    http = read(head + one.tobytes() + two.tobytes(), len(head))
    assert {name: array.tolist() for name, array in http.asked.inputs.items()} == {
        "a": [0, 1, 2, 3], "b": [True], "c": [0, 1],
    }  # fmt: skip
    assert http.binary_default


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (body([1, 2, 3]), "3 elements long, expected 4 for shape [1, 4]"),
        (body([[1, 2], [3, 4]]), "nested by 2, expected nesting as shape [1, 4]"),
        (body([[1, 2], 3], (2, 2)), "nested in parts"),
        (body([[[1]]], (1, 1)), "nested by 1, expected nesting as shape [1]"),
        (body(["1", 2, 3, 4]), "of str elements, expected FP32 numbers"),
        (body([True, 2, 3, 4]), "of bool elements"),
        (body([1.5, 2, 3, 4], datatype="INT32"), "of float elements, expected INT32"),
        (body([1, 2, 3, 300], datatype="INT8"), "out of range"),
        (body([0, 1, 1, 0], datatype="BOOL"), "of int elements"),
        (body(data=None), "without data"),
        (body(shape="4"), "of shape 4, expected a list of whole numbers"),
        (body(shape=[True, 4]), "a list of whole numbers"),
        (body(shape=[2**40]), "expected at most 1048576 bytes"),
        (body(datatype="BYTES"), "of dtype 'BYTES'"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_name(text: bytes, says: str) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        read(text)
    assert says in caught.value.message
    assert caught.value.name == "x"


def test_a_number_beyond_its_dtype_is_infinite_and_left_to_the_model_to_refuse() -> None:
    assert np.isinf(read(body([1e300, 2, 3, 4])).asked.inputs["x"][0, 0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"[]", "a JSON list, expected an object"),
        (body([float("nan"), 2, 3, 4]), "NaN is no number; inputs are finite"),
        (b'{"inputs": {}}', "`inputs` is a JSON dict, expected a list"),
        (b'{"inputs": [7]}', "one of `inputs` is no object with a name"),
        (b'{"outputs": [{"name": 7}]}', "one of `outputs` is no object with a name"),
        (body(id=7), "`id` is a JSON int"),
        (body(parameters=[]), "`parameters` is a JSON list"),
        (body(parameters={"binary_data_output": 1}), "'binary_data_output' is 1"),
        (body() + b"....", "no JSON"),
    ],
)
def test_a_body_that_is_no_request_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(text)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("size", "extra", "says"),
    [
        (8, b"", "of binary_data_size 8, expected 0 to the 4 bytes"),
        (True, b"", "of binary_data_size True"),
        (2, b"", "2 bytes long, expected 4 bytes"),
        (4, b"..", "2 bytes behind the JSON belong to no input"),
    ],
)
def test_sizes_behind_the_json_must_add_up(size, extra, says) -> None:
    tensor = {
        "name": "x",
        "shape": [1],
        "datatype": "FP32",
        "parameters": {"binary_data_size": size},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(CallerError) as caught:
        read(head + bytes(4) + extra, len(head))
    assert says in caught.value.message


def test_a_header_that_claims_more_json_than_there_is_is_refused() -> None:
    with pytest.raises(CallerError, match="99 bytes of JSON, the body holds 2 bytes"):
        read(b"{}", 99)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (body([], (0, 10**30)), "of a size above 64 bits"),
        (body([], (0, 2**62, 2**62)), "of a size above 1048576"),
        (body([], (10**4_000, 10**4_000)), "of a size above 64 bits"),
        (body([10**400, 2, 3, 4]), "out of range"),
        (body(parameters={"timeout": 10**400}), "'timeout' is 'above 64 bits'"),
        (body(parameters={"timeout": -(2**64)}), "'timeout' is 'above 64 bits'"),
    ],
)
def test_number_that_no_machine_word_holds_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(text)
    assert says in caught.value.message


def test_too_many_inputs_are_refused_before_any_of_them_is_read() -> None:
    inputs: list[object] = [{"name": f"x{number}"} for number in range(65)]
    with pytest.raises(InvalidTensorError, match="one of 65 tensors, expected at most 64"):
        read(json.dumps({"inputs": inputs}).encode())


def test_tensors_of_no_bytes_lie_between_others() -> None:
    sizes = [4, 0, 8]
    inputs = [
        {
            "name": f"x{number}",
            "shape": [size],
            "datatype": "UINT8",
            "parameters": {"binary_data_size": size},
        }
        for number, size in enumerate(sizes)
    ]
    head = json.dumps({"inputs": inputs}).encode()
    found = read(head + bytes(range(12)), len(head)).asked.inputs
    assert [array.tolist() for array in found.values()] == [[0, 1, 2, 3], [], list(range(4, 12))]
