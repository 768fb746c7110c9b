"""A small network as a list of layers: what the numpy engine computes.

Each layer is a JSON object with its `op`; `from` names the tensor it reads (a list of names for `concat`), `to` the one
it writes. Without `from` it reads what the layer before it wrote, the first one the model's input; without `to` only
the next layer can read it. Weights are named arrays of the same file.

========= ======================================= ==============================================
op        fields                                  what it computes, of tensors (batch, …)
========= ======================================= ==============================================
dense     weights, bias (may be left out)         x @ weights + bias; weights (inputs, outputs)
relu                                              max(x, 0)
clamp     low, high                               min(max(x, low), high)
softmax                                           over the last dimension
slice     start, stop                             that part of the last dimension
reshape   shape                                   (batch, *shape)
concat    from: a list                            along the last dimension
========= ======================================= ==============================================
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from bellwire.agents.inference.tensor import Array

Layer: TypeAlias = Mapping[str, Any]  # JSON
Compute: TypeAlias = Callable[..., Array]
LAYERS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Step:
    """One layer, ready to be computed."""

    compute: Compute
    sources: tuple[str, ...]
    target: str


def compile_layers(
    layers: Sequence[Layer], arrays: Mapping[str, Array], first: str
) -> tuple[Step, ...]:
    """Return the steps of a network whose first layer reads the tensor `first`.

    Args:
        layers: As they were read from JSON, so that each may be anything.
        arrays: Weights by name.
        first: The model's first input.

    Raises:
        ValueError: Too many layers, or one that is unknown or wants a field or an array that is not there.
    """
    if not 0 < len(layers) <= LAYERS_MAX:
        raise ValueError(f"{len(layers)} layers, not 1 to {LAYERS_MAX}")
    steps: list[Step] = []
    before = first
    for number, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise ValueError(f"layers[{number}] is {layer!r}, no JSON object")
        try:
            step = _step(layer, arrays, before, f"layer {number}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"layer {number} {dict(layer)}: {error!r}") from error
        steps.append(step)
        before = step.target
    return tuple(steps)


def run_steps(steps: Sequence[Step], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return every tensor by its name, the inputs among them."""
    values = dict(inputs)
    for step in steps:
        values[step.target] = step.compute(*[values[name] for name in step.sources])
    return values


def _step(layer: Layer, arrays: Mapping[str, Array], before: str, name: str) -> Step:
    given = layer.get("from", before)
    sources = tuple(given) if isinstance(given, list) else (given,)
    if layer["op"] != "concat" and len(sources) != 1:
        raise ValueError("only concat reads several tensors")
    return Step(_OPERATIONS[layer["op"]](layer, arrays), sources, layer.get("to", name))


def _dense(layer: Layer, arrays: Mapping[str, Array]) -> Compute:
    weights = np.ascontiguousarray(arrays[layer["weights"]])
    if "bias" not in layer:
        return lambda values: values @ weights  # (batch, outputs)
    bias = arrays[layer["bias"]]
    return lambda values: values @ weights + bias  # (batch, outputs)


def _relu(_layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    return lambda values: np.maximum(values, 0)


def _clamp(layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    low, high = float(layer["low"]), float(layer["high"])
    if not low <= high:
        raise ValueError(f"low {low} is above high {high}")
    return lambda values: values.clip(low, high)


def _softmax(_layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    return softmax


def softmax(values: Array) -> Array:
    """Return probabilities over the last dimension; the largest is taken off first, so that none overflows."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _slice(layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    start, stop = int(layer["start"]), int(layer["stop"])
    if not 0 <= start < stop:
        raise ValueError(f"no part from {start} to {stop}")
    return lambda values: values[..., start:stop]


def _reshape(layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    shape = tuple(int(size) for size in layer["shape"])
    return lambda values: values.reshape(len(values), *shape)  # (batch, *shape)


def _concat(_layer: Layer, _arrays: Mapping[str, Array]) -> Compute:
    return lambda *values: np.concatenate(values, axis=-1)


_OPERATIONS: Final[dict[str, Callable[[Layer, Mapping[str, Array]], Compute]]] = {
    "dense": _dense,
    "relu": _relu,
    "clamp": _clamp,
    "softmax": _softmax,
    "slice": _slice,
    "reshape": _reshape,
    "concat": _concat,
}
