"""Models on disk: `<models>/<name>/<version>/{model.json, file}`; a version comes by one rename."""

import errno
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import MANIFEST, ModelManifest, read_manifest
from bellwire.wire.errors import CapacityError

FILE_BYTES_MAX: Final = 2 * 1024**3 - 1  # what one protobuf message may hold
ATTEMPTS_MAX: Final = 100  # each lost one is a version that another writer has added
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})


def read_model(folder: Path) -> tuple[ModelManifest, bytes]:
    """Return a version's manifest and its file. Blocks while it reads.

    Raises:
        InvalidModelError: One is absent or damaged, or the file is not the one that the manifest names.
    """
    manifest = read_manifest(folder)
    path = folder / manifest.file
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidModelError(str(path), "too large", f"at most {FILE_BYTES_MAX} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise InvalidModelError(str(path), error.strerror or str(error), "a file") from error
    digest = sha256(content).hexdigest()
    if digest != manifest.sha256:
        raise InvalidModelError(str(path), f"sha256 {digest}", f"{manifest.sha256}, its manifest's")
    return manifest, content


def add_version(models: Path, manifest: ModelManifest, content: bytes) -> ModelManifest:
    """Add a file as the next version of its model and return the manifest; nothing there is changed.

    Args:
        models: Folder of models; made if it is not there.
        manifest: Its version and hash are replaced.
        content: Of the model's file.

    Raises:
        CapacityError: Other writers were faster, again and again.
        OSError: The disk refuses; no version was added.
    """
    folder = models / manifest.name
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".adding-{token_hex(8)}"
    aside.mkdir()
    try:
        (aside / manifest.file).write_bytes(content)
        hashed = replace(manifest, sha256=sha256(content).hexdigest())
        for _ in range(ATTEMPTS_MAX):
            numbered = replace(hashed, version=max(versions_in(folder), default=0) + 1)
            (aside / MANIFEST).write_text(numbered.to_json(), encoding="utf-8")
            if _renamed(aside, folder / str(numbered.version)):
                return numbered
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # gone already when all went well
    raise CapacityError(f"model {manifest.name!r}: {ATTEMPTS_MAX} versions were taken; try again")


def versions_in(folder: Path) -> list[int]:
    """Return the numbers of a model's versions, ascending."""
    names = [each.name for each in folder.iterdir() if each.is_dir()]
    numbers = [name for name in names if name.isascii() and name.isdigit()]
    return sorted(int(name) for name in numbers if not name.startswith("0"))


def _renamed(aside: Path, place: Path) -> bool:
    try:
        aside.rename(place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True
