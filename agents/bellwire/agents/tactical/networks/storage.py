"""Weights as a file: numpy's `.npz`, one array a name such as "fvg.hidden"."""

import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from bellwire.agents.tactical.networks.errors import InvalidWeightsError
from bellwire.agents.tactical.networks.weights import (
    NETWORKS,
    DenseNetwork,
    DenseWeights,
    Floats,
    Variant,
)

FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # the largest variant has 5 MB
_VARIANT: Final = "variant"
_ARRAYS: Final = ("attention", "hidden", "output", "hidden_bias", "output_bias")


def save_weights(path: Path, weights: DenseWeights) -> None:
    """Write the weights; the same weights give the same bytes."""
    arrays = {
        f"{network}.{name}": array
        for network, values in weights.networks.items()
        for name in _ARRAYS
        if (array := getattr(values, name)) is not None
    }
    with path.open("wb") as file:
        np.savez(file, **{_VARIANT: np.array(str(weights.variant)), **arrays})


def load_weights(path: Path) -> DenseWeights:
    """Read what `save_weights` wrote; nothing in the file is executed.

    Raises:
        InvalidWeightsError: Absent, too large, no such file, or arrays that do not fit the variant.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidWeightsError(str(path), "too large", f"at most {FILE_BYTES_MAX} bytes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        variant = Variant(str(arrays.pop(_VARIANT)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidWeightsError(str(path), f"unreadable ({error})", "saved weights") from error
    return DenseWeights(variant, **{name: _network(name, arrays) for name in NETWORKS})


def _network(network: str, arrays: dict[str, Floats]) -> DenseNetwork:
    found = {name: arrays[key] for name in _ARRAYS if (key := f"{network}.{name}") in arrays}
    missing = {"attention", "hidden", "output"} - set(found)
    if missing:
        raise InvalidWeightsError(network, f"without {sorted(missing)}", "all arrays")
    return DenseNetwork(**found)
