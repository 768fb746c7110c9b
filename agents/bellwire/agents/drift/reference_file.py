"""`drift.json` beside a model: written by training, read by whoever serves the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bellwire.agents.drift.errors import DriftReferenceError
from bellwire.agents.drift.reference import ColumnReference, Reference
from bellwire.agents.inference.durable_file import replace_file

REFERENCE_FILE: Final = "drift.json"
FILE_BYTES_MAX: Final = 1024 * 1024  # three hundred symbols
FORMAT: Final = 1


def write_references(folder: Path, references: Sequence[Reference]) -> None:
    """Write the references of a model into its folder; equal ones give equal bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    content = {"format": FORMAT, "references": [asdict(each) for each in references]}
    replace_file(folder / REFERENCE_FILE, (json.dumps(content, indent=1) + "\n").encode())


def carry_references(parent: Path, child: Path) -> bool:
    """Copy a version's references to one that was made of it; return False where there are none.

    Raises:
        OSError: They cannot be read or written.
    """
    try:
        content = (parent / REFERENCE_FILE).read_bytes()
    except FileNotFoundError:
        return False
    replace_file(child / REFERENCE_FILE, content)
    return True


def read_references(folder: Path) -> Mapping[str, Reference]:
    """Return the references of a model's folder by symbol, in the order of the file.

    Raises:
        DriftReferenceError: Absent, too large, or no references.
    """
    path = folder / REFERENCE_FILE
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise DriftReferenceError(str(path), "too large", f"at most {FILE_BYTES_MAX} bytes")
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            found = f"format {values['format']!r}"
            raise DriftReferenceError(str(path), found, f"format {FORMAT}")
        references = [_reference(each) for each in values["references"]]
    except OSError as error:
        raise DriftReferenceError(str(path), error.strerror or str(error), "a file") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__} {error}"
        raise DriftReferenceError(str(path), found, "references as training writes them") from error
    if not references:
        raise DriftReferenceError(str(path), "no references", "one a symbol")
    return {each.symbol: each for each in references}


def _reference(values: Mapping[str, object]) -> Reference:
    columns = values["columns"]
    if not isinstance(columns, list):
        raise TypeError("columns are no list")
    return Reference(
        symbol=str(values["symbol"]),
        interval=str(values["interval"]),
        data_sha256=str(values["data_sha256"]),
        columns=tuple(_column(each) for each in columns),
    )


def _column(values: Mapping[str, object]) -> ColumnReference:
    edges, counts = values["edges"], values["counts"]
    if not isinstance(edges, list) or not isinstance(counts, list):
        raise TypeError("edges or counts are no list")
    return ColumnReference(
        name=str(values["name"]),
        edges=tuple(map(float, edges)),
        counts=tuple(map(int, counts)),
        noise_scale=_number(values["noise_scale"]),
        noise_degrees=_number(values["noise_degrees"]),
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
