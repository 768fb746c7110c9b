"""Rollouts on disk, beside a model's versions: `<models>/<name>/rollout.json`.

The file is replaced whole, under a lock that every writer takes: a step is taken from what is there, or not at all.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bellwire.agents.inference.durable_file import replace_file
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.model import MANIFEST, is_model_name
from bellwire.agents.inference.rollout.state import Rollout, Stage, StepKind, StepRecord

ROLLOUT: Final = "rollout.json"
# All records, each with as much text as it may have, and each character as the 12 bytes of an escaped pair: 24 MB.
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
_LOCK: Final = ".rollout.lock"


class RolloutFile:
    """One model's rollout that outlives the process; blocks as disks do."""

    def __init__(self, root: Path, model: str) -> None:
        """Name the folder of models and the model; nothing is read yet.

        Raises:
            InvalidModelError: No model can have that name.
        """
        if not is_model_name(model):
            raise InvalidModelError(
                str(root),
                f"model {model!r:.160}",
                "a name of 1 to 128 letters, digits, '.', '_', '-'",
            )
        self._model = model
        self._path = root / model / ROLLOUT

    def read(self) -> Rollout | None:
        """Return the rollout, or None where there never was one.

        Raises:
            InvalidModelError: The file is damaged, too large, or another model's.
        """
        size = self.fingerprint()[1]
        if size > FILE_BYTES_MAX:
            raise self._invalid(f"{size} bytes", f"at most {FILE_BYTES_MAX}")
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._invalid(error.strerror or str(error)) from error
        try:
            rollout = _rollout(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._invalid(repr(error)) from error
        if rollout.model != self._model:
            raise self._invalid(f"it is of model {rollout.model!r}")
        return rollout

    def take(self, step: Callable[[Rollout], Rollout], serving: int = 0) -> Rollout:
        """Take one step, have it on the disk, and return what is there now.

        Args:
            step: From what is there to what shall be.
            serving: Version in service where there never was a rollout.

        Raises:
            RolloutStepError: From the step.
            InvalidModelError: The file is damaged, there is none and `serving` is not named, or a version
                that would come into service or be looked at is not in the folder.
            UnsyncedError: The step was taken, and a power failure may take it back.
            OSError: The disk refuses; the step was not taken.
        """
        with self._locked():
            before = self.read() or self._first(serving)
            after = step(before)
            self._demand_version(before.serving, after.serving)
            self._demand_version(before.candidate, after.candidate)
            content = (json.dumps(asdict(after), indent=1) + "\n").encode()
            if len(content) > FILE_BYTES_MAX:
                raise self._invalid(f"{len(content)} bytes to write", f"at most {FILE_BYTES_MAX}")
            replace_file(self._path, content)
        return after

    def fingerprint(self) -> tuple[int, int, int]:
        """Return what changes with each step, without reading it; zeros where there is no file."""
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def _first(self, serving: int) -> Rollout:
        if serving < 1:
            raise self._invalid("no rollout yet", "to be told which version serves")
        self._demand_version(0, serving)
        return Rollout(self._model, serving)

    def _demand_version(self, old: int, new: int) -> None:
        """Let none serve that is not there; one that serves already may be gone, and can be left."""
        manifest = self._path.with_name(str(new)) / MANIFEST
        if new not in (0, old) and not manifest.is_file():
            raise InvalidModelError(str(manifest), "no such version", "one that was published")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # The lock goes with the descriptor: a process that is killed holds up nobody.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            opened = os.open(self._path.with_name(_LOCK), flags, 0o644)
        except OSError as error:
            raise self._invalid(error.strerror or str(error)) from error
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)

    def _invalid(
        self, found: str, expected: str = "a rollout as it was written"
    ) -> InvalidModelError:
        return InvalidModelError(str(self._path), found, expected)


def _rollout(values: Any) -> Rollout:
    rollout = Rollout(
        str(values["model"]),
        _version(values["serving"], least=1),
        Stage(values["stage"]),
        _version(values["candidate"]),
        _share(values["share"]),
        _version(values["previous"]),
        tuple(_record(each) for each in values["records"]),
    )
    has_candidate = rollout.stage is not Stage.SERVING
    is_split = rollout.stage in (Stage.CANARY, Stage.AB)
    if bool(rollout.candidate) != has_candidate or bool(rollout.share) != is_split:
        raise ValueError(f"stage {rollout.stage} with version {rollout.candidate}, {rollout.share}")
    return rollout


def _record(values: Any) -> StepRecord:
    return StepRecord(
        int(values["time_unix_nano"]),
        StepKind(values["step"]),
        str(values["author"]),
        str(values["reason"]),
        Stage(values["stage"]),
        _version(values["serving"]),
        _version(values["candidate"]),
        _share(values["share"]),
    )


def _version(value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"version {value!r}")
    return value


def _share(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"share {value!r}")
    return float(value)
