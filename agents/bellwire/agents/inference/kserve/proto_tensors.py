"""Tensors of the gRPC service and arrays: raw bytes, or lists of numbers by kind."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from bellwire.agents.inference.errors import InvalidTensorError
from bellwire.agents.inference.kserve.contract import Message
from bellwire.agents.inference.tensor import DTYPES, Array
from bellwire.agents.inference.tensor_bytes import array_of, bytes_of, check_shape
from bellwire.agents.inference.wire import check_names

# Which list holds the elements of a dtype; FP16 has none.
_CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def read_inputs(request: Message) -> dict[str, Array]:
    """Return the inputs of a ModelInferRequest by name; a name that is there twice is refused.

    Raises:
        InvalidTensorError: The contents are not what dtype and shape say, or there are too many inputs.
        CallerError: A name is too long.
    """
    raw: Sequence[bytes] = request.raw_input_contents
    inputs = request.inputs
    if raw and len(raw) != len(inputs):
        name = inputs[0].name if inputs else ""
        found = f"one of {len(inputs)} with {len(raw)} raw_input_contents"
        raise InvalidTensorError(name, found, "as many as inputs, or none")
    check_names([tensor.name for tensor in inputs])
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(inputs):
        arrays[tensor.name] = _raw(tensor, raw[index]) if raw else _listed(tensor)
    return arrays


def add_outputs(response: Message, outputs: dict[str, Array], *, raw: bool) -> None:
    """Put outputs into a ModelInferResponse, as raw bytes or, but for FP16, as lists.

    Raises:
        InvalidTensorError: An output cannot travel.
    """
    raw = raw or any(
        array.dtype.itemsize == 2 and array.dtype.kind == "f" for array in outputs.values()
    )
    for name, array in outputs.items():
        dtype, data = bytes_of(name, array)
        tensor = response.outputs.add(name=name, datatype=dtype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(data)
        else:
            getattr(tensor.contents, _CONTENTS[dtype]).extend(array.ravel().tolist())


def _raw(tensor: Message, data: bytes) -> Array:
    if tensor.HasField("contents"):
        raise InvalidTensorError(tensor.name, "given twice", "contents or raw_input_contents")
    return array_of(tensor.name, tensor.datatype, tensor.shape, data)


def _listed(tensor: Message) -> Array:
    name, dtype, shape = tensor.name, tensor.datatype, tuple(tensor.shape)
    check_shape(name, dtype, shape)
    if dtype not in _CONTENTS:
        raise InvalidTensorError(name, f"{dtype} in contents", "raw_input_contents")
    elements = getattr(tensor.contents, _CONTENTS[dtype])
    if len(elements) != prod(shape):
        text = f"{prod(shape)} for shape {shape}"
        raise InvalidTensorError(name, f"{len(elements)} {_CONTENTS[dtype]} long", text)
    try:
        # Of the container itself numpy takes the memory, and would wrap what is out of range.
        return np.array(list(elements), DTYPES[dtype]).reshape(
            shape
        )  # (batch, …) as the sender says
    except OverflowError as error:
        raise InvalidTensorError(name, f"out of range: {error}", dtype) from error
