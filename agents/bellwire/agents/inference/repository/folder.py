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
_GIVEN: Final = ".given-"
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
    return sorted(int(name) for name in numbers if _is_number(name))


def _is_number(name: str) -> bool:
    """Tell whether it is a version as we write them: "07" and "٧" are none, nor is what has thousands of digits."""
    is_decimal = name.isascii() and name.isdigit() and name[0] != "0"
    return is_decimal and len(name) <= len(str(VERSION_MAX)) and int(name) <= VERSION_MAX


def publish_version(root: Path, manifest: ModelManifest, content: bytes) -> ModelManifest:
    """Add a model's file as the next version and return its manifest; safe beside other publishers.

    Steps: write file and manifest into a hidden folder, claim the next number, sync them and the folder, rename it to
    that number; where another publisher took it, number it anew. A number is given once: a version that was deleted
    leaves its own behind, since servers and rollouts may still mean it by that.

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
        number = max((*versions_in(folder), *_numbers_given(folder)), default=0) + 1
        numbered = replace(manifest, version=number)
        check_manifest(numbered, folder / MANIFEST)
        with _claimed(folder, number) as is_ours:
            if is_ours and _placed(aside, folder, numbered):
                return numbered
    raise CapacityError(f"model {manifest.name!r}: {PUBLISH_ATTEMPTS_MAX} versions were taken")


def _placed(aside: Path, folder: Path, manifest: ModelManifest) -> bool:
    """Rename to the number claimed; tell whether no other publisher had taken it without a claim."""
    write_synced(aside / MANIFEST, manifest.to_json().encode())
    sync(aside)
    if not _renamed(aside, folder / str(manifest.version)):
        return False
    for number in _numbers_given(folder):
        if number < manifest.version:
            (folder / f"{_GIVEN}{number}").unlink(missing_ok=True)
    sync(folder)
    return True


def _numbers_given(folder: Path) -> list[int]:
    """Return the claims that are there: the highest number that was ever given, and those of publishers at work."""
    texts = (each.name.removeprefix(_GIVEN) for each in folder.glob(f"{_GIVEN}*"))
    return [int(text) for text in texts if _is_number(text)]


@contextmanager
def _claimed(folder: Path, number: int) -> Iterator[bool]:
    """Take a number for good, and yield whether no other publisher had; a disk that refuses leaves it free.

    A publisher that is killed leaves a gap.
    """
    claim = folder / f"{_GIVEN}{number}"
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    except OSError:
        if not (folder / str(number)).exists():
            claim.unlink(missing_ok=True)
        raise


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
