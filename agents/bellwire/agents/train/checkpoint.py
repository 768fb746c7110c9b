"""A training on disk: everything needed to go on as if it had never stopped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.inference.durable_file import replace_file
from bellwire.agents.train.array_file import read_arrays
from bellwire.agents.train.errors import CheckpointError

FILE_BYTES_MAX: Final = (
    256 * 1024 * 1024
)  # on disk and unpacked; the larger dense variant with its moments has 2.5 MB
_ABOUT: Final = "about"  # JSON beside the arrays; their names have a dot


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state between two updates."""

    step: int
    """Joint steps made."""
    seconds: float
    """Time they took, over all parts of an interrupted training."""
    arrays: Mapping[str, NDArray[np.float32]]
    """Weights and the optimiser's moments."""
    random: Mapping[str, object]
    """State of the one generator of random numbers, as numpy gives it."""
    origin: Mapping[str, object]
    """JSON of what it was begun with: settings and data. Another origin is another training."""


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Put the checkpoint in the old one's place; a crash leaves one of the two, whole. Blocks."""
    about = {
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "random": checkpoint.random,
        "origin": checkpoint.origin,
    }
    arrays: dict[str, Any] = {_ABOUT: np.array(json.dumps(about)), **checkpoint.arrays}
    content = BytesIO()
    np.savez(content, **arrays)
    replace_file(path, content.getvalue())


def load(path: Path, origin: Mapping[str, object]) -> Checkpoint:
    """Read a checkpoint of the training that was begun with `origin`; nothing in it is executed.

    Raises:
        CheckpointError: absent, damaged, or begun with something else, which is named.
    """
    try:
        arrays = read_arrays(path, bytes_max=FILE_BYTES_MAX)
        about = json.loads(str(arrays.pop(_ABOUT)))
        about["arrays"] = arrays
        found = Checkpoint(**about)
        _check_types(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(path, f"unreadable ({error})", "a saved checkpoint") from error
    _check_origin(path, found.origin, json.loads(json.dumps(origin)))
    return found


def _check_types(found: Checkpoint) -> None:
    if type(found.step) is not int or not isinstance(found.seconds, (int, float)):
        raise TypeError(f"step {found.step!r}, seconds {found.seconds!r}")
    if not isinstance(found.origin, dict) or not isinstance(found.random, dict):
        raise TypeError("origin and random are no objects")


def _check_origin(path: Path, found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    for name in sorted({*found, *expected}):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                path, f"begun with {name} {found.get(name)!r}", f"{expected.get(name)!r}"
            )
