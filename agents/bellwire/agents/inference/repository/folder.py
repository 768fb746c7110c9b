"""Models on disk: `<models>/<name>/<version>/{model.json, file}`.

A version never changes once it is there. It comes by one rename, so that whoever looks sees all of it or nothing.
"""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Final

from bellwire.agents.inference.durable_file import sync, write_synced
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import (
    MANIFEST,
    VERSION_MAX,
    ModelManifest,
    check_manifest,
    read_manifest,
)
from bellwire.wire.errors import CapacityError

PUBLISH_ATTEMPTS_MAX: Final = (
    1_000  # Each lost attempt is another publisher's version that is there.
)
_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_ASIDE: Final = ".publishing-"
STALE_SECONDS: Final = (
    86_400.0  # No publisher takes a day; what is older was left by one that was killed.
)


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A folder that should hold a version; nothing in it was read yet."""

    name: str
    version: int
    folder: Path

    def read_manifest(self) -> ModelManifest:
        """Read its manifest.

        Raises:
            InvalidModelError: Absent, damaged, or that of another model or version.
        """
        manifest = read_manifest(self.folder)
        if (manifest.name, manifest.version) != (self.name, self.version):
            path = str(self.folder / MANIFEST)
            raise InvalidModelError(path, manifest.key, f"{self.name}:{self.version}, as its place")
        return manifest

    def fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        """Return what changes when somebody mends it: names, sizes and times of its files."""
        try:
            stats = [(file.name, file.stat()) for file in sorted(self.folder.iterdir())]
        except OSError:
            return ()
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def scan(root: Path) -> tuple[FoundVersion, ...]:
    """Return every version there is, by name and number; other files and folders are passed over.

    Raises:
        InvalidModelError: The folder cannot be read.
    """
    try:
        names = [each for each in sorted(root.iterdir()) if not each.name.startswith(".")]
        return tuple(
            FoundVersion(folder.name, version, folder / str(version))
            for folder in names
            if folder.is_dir()
            for version in versions_in(folder)
        )
    except OSError as error:
        found = error.strerror or str(error)
        raise InvalidModelError(str(root), found, "a folder of models") from error


def versions_in(folder: Path) -> list[int]:
    """Return the numbers of a model's versions, ascending."""
    numbers = [each.name for each in folder.iterdir() if each.is_dir()]
    # "07" and "٧" are no names that we would write.
    return sorted(
        int(name)
        for name in numbers
        if name.isascii() and name.isdigit() and name[0] != "0" and int(name) <= VERSION_MAX
    )


def publish_version(root: Path, manifest: ModelManifest, content: bytes) -> ModelManifest:
    """Add a model's file as the next version and return its manifest; safe beside other publishers.

    Steps: write file and manifest into a hidden folder, sync them and the folder, rename it to the next number; where
    another publisher took that, number it anew.

    Args:
        root: Made if it is not there.
        manifest: Its version and hash are replaced.
        content: Of the model's file.

    Raises:
        InvalidModelError: The manifest has a field that cannot be.
        CapacityError: Others were faster, again and again.
        OSError: The disk refuses; no version was added.
    """
    folder = root / str(manifest.name)
    hashed = replace(manifest, sha256=sha256(content).hexdigest())
    check_manifest(replace(hashed, version=1), folder / MANIFEST)
    _make(root)
    _make(folder)
    _sweep(folder, time())
    with _aside(folder) as aside:
        write_synced(aside / manifest.file, content)
        return _numbered(aside, folder, hashed)


def _numbered(aside: Path, folder: Path, manifest: ModelManifest) -> ModelManifest:
    """Give a version that is written its manifest and the next number that no other publisher takes."""
    for _ in range(PUBLISH_ATTEMPTS_MAX):
        numbered = replace(manifest, version=max(versions_in(folder), default=0) + 1)
        write_synced(aside / MANIFEST, numbered.to_json().encode())
        sync(aside)
        if _renamed(aside, folder / str(numbered.version)):
            sync(folder)
            return numbered
    raise CapacityError(f"model {manifest.name!r}: {PUBLISH_ATTEMPTS_MAX} versions were taken")


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync(folder.parent)


def _sweep(folder: Path, now: float) -> None:
    """Remove what publishers that were killed have left; `now` is in seconds of the file system's clock."""
    for aside in folder.glob(f"{_ASIDE}*"):
        with suppress(FileNotFoundError):  # Another publisher sweeps too.
            if aside.stat().st_mtime < now - STALE_SECONDS:
                shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    aside = folder / f"{_ASIDE}{token_hex(8)}"
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # Gone already when all went well.


def _renamed(aside: Path, place: Path) -> bool:
    try:
        aside.rename(place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True
