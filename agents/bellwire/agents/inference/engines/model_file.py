"""A model's file, read once and known to be the one that its manifest names."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import ModelManifest

FILE_BYTES_MAX: Final = 2 * 1024**3 - 1  # What one protobuf message, and so an ONNX file, may hold.


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """The content that was checked: engines load these bytes, not what the file has become since."""

    path: Path
    content: bytes

    def invalid(self, found: str, expected: str) -> InvalidModelError:
        """Return the error that says what is wrong with this file."""
        return InvalidModelError(str(self.path), found, expected)


def read_model_file(folder: Path, manifest: ModelManifest) -> ModelFile:
    """Read the model's file; blocks for as long as the disk takes, bounded by `FILE_BYTES_MAX`.

    Raises:
        InvalidModelError: Absent, too large, or not the file whose hash the manifest states.
    """
    path = folder / manifest.file
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise InvalidModelError(str(path), f"{size} bytes", f"at most {FILE_BYTES_MAX}")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidModelError(str(path), error.strerror or str(error), "a file") from error
    digest = sha256(content).hexdigest()
    if digest != manifest.sha256:
        raise InvalidModelError(str(path), f"sha256 {digest}", f"{manifest.sha256}, its manifest's")
    return ModelFile(path, content)
