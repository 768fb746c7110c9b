"""Weights as a file: numpy's `.npz`, one array a name such as "fvg.hidden" or "critic.0.bias"."""

import dataclasses
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from bellwire.agents.tactical.networks.convolution import (
    ACTOR_LAYERS,
    CHANNELS,
    CRITIC_LAYERS,
    ConvActor,
    Convolution,
    ConvWeights,
)
from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.forward import Weights
from bellwire.agents.tactical.networks.layers import Layer
from bellwire.agents.tactical.networks.weights import (
    AGENTS,
    NETWORKS,
    DenseNetwork,
    DenseWeights,
    Floats,
    Variant,
)

FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # the largest variant has 5 MB
_AT_MOST: Final = f"at most {FILE_BYTES_MAX} bytes"
_VARIANT: Final = "variant"
_UNREADABLE: Final = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    zipfile.BadZipFile,
    zlib.error,
)

_Arrays = Mapping[str, Floats]
_Part = TypeVar("_Part", DenseNetwork, Convolution, Layer)


def save_weights(path: Path, weights: Weights) -> None:
    """Write the weights; the same weights give the same bytes."""
    write_named(path, str(weights.variant), weights)


def write_named(path: Path, variant: str, weights: object) -> None:
    """Write every array in a dataclass of dataclasses, tuples and arrays by its dotted name."""
    arrays = {name.removesuffix("."): array for name, array in _named("", weights)}
    with path.open("wb") as file:
        np.savez(file, **{_VARIANT: np.array(variant), **arrays})  # type: ignore[arg-type]  # stubs: any ** may be allow_pickle


def load_weights(path: Path) -> DenseWeights:
    """Read the weights of a dense variant; nothing in the file is executed.

    Raises:
        InvalidWeightsError: Absent, too large, no such file, another variant, or arrays that do not
            fit it.
    """
    variant, arrays = _read(path)
    if variant is Variant.CONV:
        raise InvalidWeightsError(str(path), f"of variant {variant}", "tiny or hidden-128")
    networks = {name: _part(DenseNetwork, name, arrays) for name in NETWORKS}
    return DenseWeights(variant, **networks)


def load_conv_weights(path: Path) -> ConvWeights:
    """Read the weights of the convolutional variant; errors as of `load_weights`."""
    variant, arrays = _read(path)
    if variant is not Variant.CONV:
        raise InvalidWeightsError(str(path), f"of variant {variant}", f"{Variant.CONV}")
    fvg, momentum, entry = (_conv_actor(name, arrays) for name in AGENTS)
    critic = _parts(Layer, "critic", arrays, len(CRITIC_LAYERS) - 1)
    return ConvWeights(fvg, momentum, entry, critic)


def _read(path: Path) -> tuple[Variant, _Arrays]:
    name, arrays = read_named(path)
    try:
        return Variant(name), arrays
    except ValueError as error:
        raise InvalidWeightsError(str(path), f"unreadable ({error})", "saved weights") from error


def read_named(path: Path) -> tuple[str, Mapping[str, Floats]]:
    """Return the variant and the arrays of a file that `write_named` wrote; nothing in it is executed.

    Raises:
        InvalidWeightsError: Absent, too large, or no such file.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidWeightsError(str(path), "too large", _AT_MOST)
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if sum(each.file_size for each in file.zip.infolist()) > FILE_BYTES_MAX:
                raise InvalidWeightsError(str(path), "too large unpacked", _AT_MOST)
            arrays = {name: file[name] for name in file.files}
        return str(arrays.pop(_VARIANT)), arrays
    except _UNREADABLE as error:
        raise InvalidWeightsError(str(path), f"unreadable ({error})", "saved weights") from error


def _named(prefix: str, value: object) -> Iterator[tuple[str, Floats]]:
    """Walk through dataclasses and tuples down to the arrays."""
    if isinstance(value, np.ndarray):
        yield prefix, value
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from _named(f"{prefix}{number}.", each)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _named(f"{prefix}{field.name}.", getattr(value, field.name))


def _conv_actor(name: str, arrays: _Arrays) -> ConvActor:
    return ConvActor(
        attention=_array(f"{name}.attention", arrays),
        convolutions=_parts(Convolution, f"{name}.convolutions", arrays, len(CHANNELS) - 1),
        layers=_parts(Layer, f"{name}.layers", arrays, len(ACTOR_LAYERS) - 1),
    )


def _parts(cls: type[_Part], name: str, arrays: _Arrays, count: int) -> tuple[_Part, ...]:
    return tuple(_part(cls, f"{name}.{number}", arrays) for number in range(count))


def layers_named(name: str, arrays: Mapping[str, Floats], count: int) -> tuple[Layer, ...]:
    """Return so many layers of a network.

    Raises:
        InvalidWeightsError: An array is absent, or its shape does not fit.
    """
    return _parts(Layer, name, arrays, count)


def _part(cls: type[_Part], name: str, arrays: _Arrays) -> _Part:
    given = {}
    for field in dataclasses.fields(cls):
        key = f"{name}.{field.name}"
        if key in arrays or field.default is dataclasses.MISSING:
            given[field.name] = _array(key, arrays)
    return cls(**given)


def _array(name: str, arrays: _Arrays) -> Floats:
    if name not in arrays:
        raise InvalidWeightsError(name, "absent", "every array of the variant")
    return arrays[name]
