"""What is known of a model before it is loaded: its manifest, `model.json` beside its file."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.tensor import (
    DIMENSIONS_MAX,
    DTYPES,
    NAME_BYTES_MAX,
    TENSORS_MAX,
    TensorSpec,
)

MANIFEST: Final = "model.json"
MANIFEST_BYTES_MAX: Final = 1024 * 1024
VERSION_MAX: Final = 999_999_999
TEXT_CHARACTERS_MAX: Final = 255  # What a file's name may have.
BATCH_ROWS_MAX: Final = 1_048_576
BATCH_BYTES_MAX: Final = 1024**3  # Of one tensor: what the warm-up of the largest batch allocates.
_NAME: Final = re.compile(
    r"(?!\.)[a-zA-Z0-9._-]{1,128}"
)  # A folder's name: neither hidden nor "..".
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One version of one model; in the folder `<models>/<name>/<version>/`."""

    name: str
    version: int
    """1 … 999,999,999; higher is newer."""
    engine: str
    """Which engine loads it: "onnx", "torch" or "numpy"."""
    file: str
    """Name of the model's file in the same folder."""
    sha256: str
    """Of that file, lower-case hexadecimal."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    quantization: str = "none"
    """"none", "int8-static", "int8-dynamic", "int4-weights", …; goes into signals as it is."""
    batch_max: int = 4_096
    """Largest batch it may be asked with, 1 … 1,048,576 rows."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """JSON: where it comes from (training's card, the model it was quantized from, the gate's report)."""

    @property
    def key(self) -> str:
        """Name and version as people and the wire write them: "tactical:3"."""
        return f"{self.name}:{self.version}"

    def to_json(self) -> str:
        """Return the text of its `model.json`."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> ModelManifest:
    """Read and check `model.json`; the model's file itself is not looked at.

    Raises:
        InvalidModelError: Absent, too large, no JSON, or with a field that cannot be.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_BYTES_MAX:
            raise InvalidModelError(str(path), "too large", f"at most {MANIFEST_BYTES_MAX} bytes")
        values = json.loads(path.read_text())
        manifest = _manifest(values)
        check_manifest(manifest, path)
    except OSError as error:
        raise InvalidModelError(str(path), error.strerror or str(error), "a manifest") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidModelError(
            str(path), f"{error!r:.500}", "a manifest as ModelManifest"
        ) from error
    return manifest


def _manifest(values: Any) -> ModelManifest:
    given = dict(values)
    for side in ("inputs", "outputs"):
        given[side] = tuple(
            TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in given[side]
        )
    return ModelManifest(**given)


def is_model_name(name: str) -> bool:
    """Tell whether a model may have that name: a folder's, neither hidden nor "..", of 1 to 128 plain characters."""
    return _NAME.fullmatch(name) is not None


def check_manifest(manifest: ModelManifest, path: Path) -> None:
    """Check every field; `path` is where it is, or will be, for the error to name.

    Raises:
        InvalidModelError: A field has a value that cannot be.
    """
    found = next(_complaints(manifest), None)
    if found is not None:
        raise InvalidModelError(str(path), found, "a manifest as ModelManifest")


def _complaints(manifest: ModelManifest) -> Iterator[str]:
    """Say what is wrong, the first first: what follows may rely on it."""
    for name in ("name", "engine", "file", "sha256", "quantization"):
        value = getattr(manifest, name)
        if type(value) is not str or not value.isprintable() or len(value) > TEXT_CHARACTERS_MAX:
            yield f"{name} {value!r:.64}, no printable text of up to {TEXT_CHARACTERS_MAX} characters"
    if not is_model_name(manifest.name):
        yield f"name {manifest.name!r:.160}"
    if type(manifest.version) is not int or not 1 <= manifest.version <= VERSION_MAX:
        yield f"version {manifest.version!r:.64}, not 1 to {VERSION_MAX}"
    file = manifest.file
    if Path(file).name != file or file in ("", "..", MANIFEST):
        yield f"file {file!r:.160}"
    if _SHA256.fullmatch(manifest.sha256) is None:
        yield f"sha256 {manifest.sha256!r:.160}"
    rows = manifest.batch_max
    if type(rows) is not int or not 1 <= rows <= BATCH_ROWS_MAX:
        yield f"batch_max {rows!r:.64}, not 1 to {BATCH_ROWS_MAX}"
    if type(manifest.metadata) is not dict:
        yield f"metadata {manifest.metadata!r:.64}"
    for side in ("inputs", "outputs"):
        yield from _side_complaints(side, getattr(manifest, side), rows)


def _side_complaints(side: str, specs: tuple[TensorSpec, ...], rows: int) -> Iterator[str]:
    if not 1 <= len(specs) <= TENSORS_MAX:
        yield f"{len(specs)} {side}, not 1 to {TENSORS_MAX}"
    names: set[str] = set()
    for spec in specs:
        yield from _tensor_complaints(spec, rows)
        if spec.name in names:
            yield f"tensor {spec.name!r} twice among the {side}"
        names.add(spec.name)


def _tensor_complaints(spec: TensorSpec, rows: int) -> Iterator[str]:
    name = spec.name
    if (
        type(name) is not str
        or not name.isprintable()
        or not 1 <= len(name.encode()) <= NAME_BYTES_MAX
    ):
        yield f"tensor {name!r:.160}, no printable name of 1 to {NAME_BYTES_MAX} bytes"
    if type(spec.dtype) is not str or spec.dtype not in DTYPES:
        yield f"dtype {spec.dtype!r:.64} of tensor {spec.name!r}"
    if len(spec.shape) >= DIMENSIONS_MAX:
        yield f"{len(spec.shape)} sizes of tensor {spec.name!r}, above {DIMENSIONS_MAX - 1}"
    if any(type(size) is not int or size < 1 for size in spec.shape):
        yield f"shape {spec.shape!r:.160} of tensor {spec.name!r}"
    # Each is looked at before they are multiplied: a file may hold numbers of thousands of digits.
    row_bytes = DTYPES[spec.dtype].itemsize * prod(
        min(size, BATCH_BYTES_MAX) for size in spec.shape
    )
    if row_bytes * rows > BATCH_BYTES_MAX:
        yield f"tensor {spec.name!r} above {BATCH_BYTES_MAX} bytes in a batch of {rows} rows"
