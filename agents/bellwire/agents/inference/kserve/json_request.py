"""An inference request of the HTTP door: a JSON object, and behind it tensors as bytes where its header says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NoReturn

import numpy as np

from bellwire.agents.inference.errors import InvalidTensorError
from bellwire.agents.inference.kserve.errors import InvalidParameterError
from bellwire.agents.inference.kserve.front import Asked, Parameter
from bellwire.agents.inference.tensor import DTYPES, Array
from bellwire.agents.inference.tensor_bytes import array_of, check_shape
from bellwire.agents.inference.wire import check_names
from bellwire.wire.errors import CallerError

INT64_MAX: Final = 2**63 - 1
# Types of JSON by the kind of a dtype; True is an int to Python and to nobody else.
_ELEMENTS: Final[Mapping[str, frozenset[type]]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
}


@dataclass(frozen=True, slots=True, eq=False)
class HttpAsked:
    """A request, and which of its outputs go back as bytes behind the JSON."""

    asked: Asked
    binary: Mapping[str, bool]
    """By name of an output that the request mentions."""
    binary_default: bool = False
    """For the others."""


def read_request(model: str, version: str, body: bytes, json_bytes: int | None) -> HttpAsked:
    """Return the request of an HTTP body.

    Args:
        model: From the path.
        version: From the path; empty = the one in service.
        body: JSON, and behind it the tensors of `binary_data_size` bytes each.
        json_bytes: Of the JSON, from the header; None = all.

    Raises:
        InvalidTensorError: A tensor is not what its datatype and shape say; the error names it.
        CallerError: It is no JSON object, or a field of it is of another type than the protocol has.
    """
    length = len(body) if json_bytes is None else json_bytes
    if not 0 <= length <= len(body):
        raise CallerError(
            f"the header says {length} bytes of JSON, the body holds {len(body)} bytes"
        )
    given = _object(body[:length])
    parameters = _parameters(given)
    outputs = [_named(each, "outputs") for each in _list(given, "outputs")]
    asked = Asked(
        model=model,
        version=version,
        id=_text(given, "id"),
        inputs=_inputs(_list(given, "inputs"), body, length),
        outputs=tuple(each["name"] for each in outputs),
        parameters=parameters,
    )
    binary = {
        each["name"]: wants
        for each in outputs
        if (wants := _flag(_parameters(each), "binary_data")) is not None
    }
    return HttpAsked(asked, binary, bool(_flag(parameters, "binary_data_output")))


def _object(text: bytes) -> dict[str, Any]:
    try:
        given = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CallerError(f"the body is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise CallerError(f"the body is a JSON {type(given).__name__}, expected an object")
    return given


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number; inputs are finite")


def _inputs(inputs: Sequence[Any], body: bytes, start: int) -> dict[str, Array]:
    """Return the inputs, of which those that are no lists lie in the body from `start` on."""
    check_names([_named(each, "inputs")["name"] for each in inputs])
    arrays: dict[str, Array] = {}
    for each in inputs:
        name = each["name"]
        dtype, shape = _text(each, "datatype"), _shape(name, each)
        size = _parameters(each).get("binary_data_size")
        if size is None:
            arrays[name] = _listed(name, dtype, shape, each.get("data"))
            continue
        left = len(body) - start
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= left:
            text = f"0 to the {left} bytes that are left"
            raise InvalidTensorError(name, f"of binary_data_size {size!r:.64}", text)
        arrays[name] = array_of(name, dtype, shape, body[start : start + size])
        start += size
    if start < len(body):
        raise CallerError(f"{len(body) - start} bytes behind the JSON belong to no input")
    return arrays


def _listed(name: str, dtype: str, shape: tuple[int, ...], data: object) -> Array:
    check_shape(name, dtype, shape)
    if not isinstance(data, list):
        raise InvalidTensorError(name, "without data", "a list in `data`")
    elements = _flat(name, data, shape)
    found = DTYPES[dtype]
    odd = set(map(type, elements)) - _ELEMENTS[found.kind]
    if odd:
        names = ", ".join(sorted(each.__name__ for each in odd))
        raise InvalidTensorError(name, f"of {names} elements", f"{dtype} numbers")
    try:
        with np.errstate(over="ignore"):  # Infinity is refused by the model's own check.
            return np.array(elements, found).reshape(shape)  # (batch, …) as the sender says
    except OverflowError as error:
        raise InvalidTensorError(name, f"out of range: {error}", dtype) from error


def _flat(name: str, data: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return the elements of a list that is flat, or nested exactly as the shape says."""
    if not any(isinstance(each, list) for each in data):
        if len(data) != prod(shape):
            text = f"{prod(shape)} for shape {list(shape)}"
            raise InvalidTensorError(name, f"{len(data)} elements long", text)
        return data
    if len(shape) < 2 or len(data) != shape[0]:
        raise InvalidTensorError(name, f"nested by {len(data)}", f"nesting as shape {list(shape)}")
    elements: list[Any] = []
    for row in data:
        if not isinstance(row, list):
            raise InvalidTensorError(name, "nested in parts", "lists of equal depth")
        elements += _flat(name, row, shape[1:])
    return elements


def _shape(name: str, tensor: Mapping[str, Any]) -> tuple[int, ...]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or set(map(type, shape)) - {int}:
        raise InvalidTensorError(name, f"of shape {str(shape)[:64]}", "a list of whole numbers")
    if any(abs(size) > INT64_MAX for size in shape):
        raise InvalidTensorError(name, "of a size above 64 bits", "sizes of 64 bits")
    return tuple(shape)


def _named(tensor: object, where: str) -> dict[str, Any]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise CallerError(f"one of `{where}` is no object with a name")
    return tensor


def _list(given: Mapping[str, Any], name: str) -> list[Any]:
    value = given.get(name, [])
    if not isinstance(value, list):
        raise CallerError(f"`{name}` is a JSON {type(value).__name__}, expected a list")
    return value


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise CallerError(f"`{name}` is a JSON {type(value).__name__}, expected a string")
    return value


def _parameters(given: Mapping[str, Any]) -> dict[str, Parameter]:
    value = given.get("parameters", {})
    if not isinstance(value, dict):
        raise CallerError(f"`parameters` is a JSON {type(value).__name__}, expected an object")
    for name, each in value.items():
        if isinstance(each, int) and not -INT64_MAX <= each <= INT64_MAX:
            raise InvalidParameterError(name, "above 64 bits", "a number of 64 bits")
    # What is nested deeper is of no server that we know of, and ignored as any unknown parameter is.
    return {
        name: each for name, each in value.items() if isinstance(each, bool | int | float | str)
    }


def _flag(parameters: Mapping[str, Parameter], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidParameterError(name, value, "true or false")
    return value
