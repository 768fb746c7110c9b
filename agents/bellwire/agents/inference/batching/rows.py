"""Rows of requests put together for the engine, and its outputs taken apart again."""

from collections.abc import Sequence
from math import prod

import numpy as np

from bellwire.agents.inference.endpoint import PRIORITIES, InferenceRequest
from bellwire.agents.inference.errors import (
    EngineFailedError,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import DTYPES, Array, Tensors, TensorSpec
from bellwire.wire.errors import CallerError, PayloadTooLargeError


class RowShape:
    """What a model takes, made ready for one look at each request."""

    __slots__ = (
        "_bytes_max",
        "_key",
        "_model",
        "_outputs",
        "_rows_max",
        "_specs",
        "_versions",
        "_wanted",
    )

    def __init__(self, manifest: ModelManifest, rows_max: int, bytes_max: int) -> None:
        """Prepare.

        Args:
            manifest: Of the model.
            rows_max: No request may have more.
            bytes_max: No request may have more.
        """
        self._model = manifest.name
        self._versions = (0, manifest.version)
        self._key = manifest.key
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._specs = {spec.name: spec for spec in manifest.inputs}
        self._wanted = [
            (
                spec.name,
                DTYPES[spec.dtype],
                spec.shape,
                prod(spec.shape) * DTYPES[spec.dtype].itemsize,
            )
            for spec in manifest.inputs
        ]
        self._outputs = [spec.name for spec in manifest.outputs]

    def measure(self, request: InferenceRequest) -> tuple[int, int]:
        """Return rows and bytes of a request whose tensors have the right names, types and shapes.

        Numbers are looked at later, a whole batch at a time: see `are_finite`.

        Raises:
            UnknownModelError: Another model or version is asked for.
            InvalidTensorError: An input is missing, or one too many, or does not fit; or too many rows.
            PayloadTooLargeError: More bytes than may wait in all.
            CallerError: No such priority.
        """
        if request.model != self._model or request.version not in self._versions:
            raise UnknownModelError(request.model, str(request.version or ""), (self._key,))
        if not 0 <= request.priority < PRIORITIES:
            raise CallerError(f"priority is {request.priority}, must be 0 … {PRIORITIES - 1}")
        rows, size_bytes = self._measured(request.inputs)
        if size_bytes > self._bytes_max:
            raise PayloadTooLargeError(
                f"inputs have {size_bytes} bytes, limit is {self._bytes_max}"
            )
        return rows, size_bytes

    def _measured(self, inputs: Tensors) -> tuple[int, int]:
        rows, size_bytes = -1, 0
        for name, dtype, row_shape, row_bytes in self._wanted:
            array = inputs.get(name)
            if array is None:
                raise InvalidTensorError(name, "missing", _text(self._specs[name]))
            shape = array.shape
            if array.dtype != dtype or shape[1:] != row_shape or not shape:
                raise InvalidTensorError(
                    name, f"{array.dtype} of shape {shape}", _text(self._specs[name])
                )
            count = shape[0]
            if count != rows:
                self._check_count(name, count, rows)
                rows = count
            size_bytes += count * row_bytes
        if len(inputs) != len(self._wanted):
            extra = next(name for name in inputs if name not in self._specs)
            raise InvalidTensorError(extra, "given", f"only {', '.join(self._specs)}")
        return rows, size_bytes

    def _check_count(self, name: str, count: int, before: int) -> None:
        if before >= 0:
            raise InvalidTensorError(name, f"{count} rows", f"{before} rows as the inputs before")
        if not 0 < count <= self._rows_max:
            raise InvalidTensorError(name, f"{count} rows", f"1 … {self._rows_max} rows")

    def join(self, requests: Sequence[Tensors]) -> Tensors:
        """Return one batch of all rows in order; a single request is not copied."""
        if len(requests) == 1:
            return requests[0]
        return {name: np.concatenate([inputs[name] for inputs in requests]) for name in self._specs}

    def are_finite(self, inputs: Tensors) -> bool:
        """Tell whether no input holds NaN or infinity."""
        return all(
            bool(np.isfinite(inputs[name]).all())
            for name, dtype, _, _ in self._wanted
            if dtype.kind == "f"
        )

    def check_finite(self, inputs: Tensors) -> None:
        """Look at one request's numbers.

        Raises:
            InvalidTensorError: NaN or infinity in it.
        """
        for name, spec in self._specs.items():
            spec.check(inputs[name])

    def check_outputs(self, outputs: Tensors, rows: int) -> list[tuple[str, Array]]:
        """Return the outputs by name, each with as many rows as went in.

        Raises:
            EngineFailedError: One is missing, or has another number of rows.
        """
        found = []
        for name in self._outputs:
            array = outputs.get(name)
            count = -1 if array is None or not array.ndim else len(array)
            if array is None or count != rows:
                said = "no such output" if array is None else f"{max(count, 0)} rows"
                raise EngineFailedError(self._key, f"output {name!r}: {said}, expected {rows}")
            found.append((name, array))
        return found


def split(outputs: Sequence[tuple[str, Array]], start: int, rows: int) -> Tensors:
    """Return one request's rows, as views into the batch's."""
    end = start + rows
    return {name: array[start:end] for name, array in outputs}


def _text(spec: TensorSpec) -> str:
    return f"{spec.dtype} of shape {spec.shape_text}"
