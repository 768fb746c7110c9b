"""What is known of a model before it is loaded: its manifest, `model.json` beside its file."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.tensor import DTYPES, TensorSpec

MANIFEST: Final = "model.json"
MANIFEST_BYTES_MAX: Final = 1024 * 1024
_NAME: Final = re.compile(
    r"(?!\.)[a-zA-Z0-9._-]{1,128}"
)  # A folder's name: neither hidden nor "..".
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """One version of one model; in the folder `<models>/<name>/<version>/`."""

    name: str
    version: int
    """≥ 1; higher is newer."""
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
    """Largest batch it may be asked with."""
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
        raise InvalidModelError(str(path), f"{error}", "a manifest as ModelManifest") from error
    return manifest


def _manifest(values: Any) -> ModelManifest:
    given = dict(values)
    for side in ("inputs", "outputs"):
        given[side] = tuple(
            TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in given[side]
        )
    return ModelManifest(**given)


def check_manifest(manifest: ModelManifest, path: Path) -> None:
    """Check every field; `path` is where it is, or will be, for the error to name.

    Raises:
        InvalidModelError: A field has a value that cannot be.
    """
    complaints = [
        (_NAME.fullmatch(manifest.name) is None, f"name {manifest.name!r}"),
        (
            type(manifest.version) is not int or manifest.version < 1,
            f"version {manifest.version!r}",
        ),
        (
            Path(manifest.file).name != manifest.file or manifest.file in ("", "..", MANIFEST),
            f"file {manifest.file!r}",
        ),
        (_SHA256.fullmatch(manifest.sha256) is None, f"sha256 {manifest.sha256!r}"),
        (not manifest.inputs or not manifest.outputs, "no inputs or no outputs"),
        (type(manifest.batch_max) is not int or manifest.batch_max < 1, "batch_max below 1"),
        (type(manifest.quantization) is not str, f"quantization {manifest.quantization!r}"),
        (type(manifest.metadata) is not dict, f"metadata {manifest.metadata!r:.64}"),
    ]
    for each in (*manifest.inputs, *manifest.outputs):
        complaints += [
            (each.dtype not in DTYPES, f"dtype {each.dtype!r} of tensor {each.name!r}"),
            (
                any(type(size) is not int or size < 1 for size in each.shape),
                f"shape {each.shape} of tensor {each.name!r}",
            ),
        ]
    for wrong, found in complaints:
        if wrong:
            raise InvalidModelError(str(path), found, "a manifest as ModelManifest")
