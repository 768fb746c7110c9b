"""Sums of an experiment on disk, beside a model's rollout: `<models>/<name>/experiment/<slot>.json`.

Several servers may follow one folder. Each takes a slot, by a lock that the kernel gives back when the process is gone,
however it went; only its owner writes a slot's file, and all files together are the experiment. Who starts again takes
the first slot that is free, and goes on with the sums that lie there. A lock holds as long as its file is where it was:
who finds another one there, or none, has lost the slot.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from math import isfinite
from pathlib import Path
from typing import Any, Final, Self

from bellwire.agents.inference.durable_file import UnsyncedError, remove_leftovers, replace_file
from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.rollout.experiment import Arm, ExperimentSums
from bellwire.agents.inference.rollout.significance import Moments
from bellwire.agents.inference.rollout.state import Rollout, Stage, StepRecord
from bellwire.wire.errors import CapacityError

FOLDER: Final = "experiment"
SLOTS_MAX: Final = 64  # Servers of one folder; more than a machine has cores.
FILE_BYTES_MAX: Final = 16_384  # A model's name and some dozen numbers; more was not written by us.
COUNT_MAX: Final = 2**53  # What floats can count; none gets there.
DAMAGED: Final = ".damaged"
_KEEP_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class ExperimentKey:
    """Which experiment it is: another share or candidate begins another one, as keys change sides."""

    model: str
    serving: int
    candidate: int
    share: float
    begun_unix_nano: int
    """Of the step that began it: the first of those since then that changed nothing."""

    @classmethod
    def of(cls, rollout: Rollout) -> Self | None:
        """Return the one that a rollout is in; None = it is in none."""
        if rollout.stage is not Stage.AB:
            return None
        now = (Stage.AB, rollout.serving, rollout.candidate, rollout.share)
        same = takewhile(lambda each: _state(each) == now, reversed(rollout.records))
        begun = min((each.time_unix_nano for each in same), default=0)
        return cls(rollout.model, rollout.serving, rollout.candidate, rollout.share, begun)


class ExperimentSlot:
    """One server's place for its sums of one model; blocks as disks do.

    Attributes:
        number: 0 … 63.
    """

    def __init__(self, folder: Path, number: int, lock: int) -> None:
        """Own a slot that `take` has locked."""
        self._folder = folder
        self._lock = lock
        self.number = number

    @classmethod
    def take(cls, root: Path, model: str) -> Self:
        """Take the first slot that no living process has, and that this one may have.

        Raises:
            CapacityError: All are taken.
            OSError: The disk refuses.
        """
        folder = root / model / FOLDER
        folder.mkdir(exist_ok=True)
        refused: PermissionError | None = None
        for number in range(SLOTS_MAX):
            try:
                lock = _locked(_lock_path(folder, number))
            except PermissionError as error:  # Another user's: theirs to go on with.
                refused = error
                continue
            if lock is not None:
                slot = cls(folder, number, lock)
                remove_leftovers(slot._path)
                return slot
        if refused is not None:
            raise refused
        raise CapacityError(
            f"{SLOTS_MAX} servers keep an experiment of {model!r}, that is the limit"
        )

    def is_held(self) -> bool:
        """Tell whether the lock's file is still the one that others find.

        Raises:
            OSError: The disk refuses.
        """
        return _is_at(self._lock, _lock_path(self._folder, self.number))

    def read(self, key: ExperimentKey) -> ExperimentSums:
        """Return what this slot holds of an experiment; nothing where it holds another, or none.

        Raises:
            InvalidModelError: The file is damaged.
            OSError: It cannot be read.
        """
        return _read(self._path, key)

    def write(self, key: ExperimentKey, sums: ExperimentSums) -> None:
        """Put sums in the place of what the slot holds.

        Raises:
            OSError: The disk refuses; what was there is still there.
        """
        content = json.dumps({"experiment": asdict(key), "sums": asdict(sums)}) + "\n"
        with suppress(UnsyncedError):  # A power failure costs some seconds anyway.
            replace_file(self._path, content.encode())

    def others(self, key: ExperimentKey) -> Iterator[ExperimentSums | InvalidModelError]:
        """Yield what each other slot holds of an experiment, or why that cannot be known."""
        for number in range(SLOTS_MAX):
            if number == self.number:
                continue
            path = self._folder / f"{number}.json"
            try:
                yield _read(path, key)
            except InvalidModelError as error:
                yield error
            except OSError as error:
                yield _invalid(path, error.strerror or str(error))

    def set_aside(self) -> Path:
        """Give a damaged file another name, for a look at it, and return that; the one before it goes.

        Raises:
            OSError: The disk refuses.
        """
        aside = self._path.with_name(self._path.name + DAMAGED)
        self._path.replace(aside)
        return aside

    def close(self) -> None:
        """Leave the slot, and what it holds, to the next one."""
        os.close(self._lock)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self.number}.json"


def _state(record: StepRecord) -> tuple[Stage, int, int, float]:
    return record.stage, record.serving, record.candidate, record.share


def _lock_path(folder: Path, number: int) -> Path:
    return folder / f"{number}.lock"


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock; None = somebody else has it, or removed it meanwhile."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _KEEP_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(lock, path):
            return lock
    except BlockingIOError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path, key: ExperimentKey) -> ExperimentSums:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ExperimentSums()
    if len(content) > FILE_BYTES_MAX:
        raise _invalid(path, f"above {FILE_BYTES_MAX} bytes")
    try:
        values = json.loads(content)
        if values["experiment"] != asdict(key):
            return ExperimentSums()
        sums = values["sums"]
        return ExperimentSums(_arm(sums["serving"]), _arm(sums["candidate"]))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise _invalid(path, f"{error!r:.200}") from error


def _arm(values: Any) -> Arm:
    returns = values["returns"]
    moments = Moments(
        _count(returns["count"]), _number(returns["mean"]), _number(returns["squares"])
    )
    if moments.squares < 0:
        raise ValueError(f"squares {moments.squares}")
    arm = Arm(moments, _count(values["agreed"]), _count(values["compared"]))
    if arm.agreed > arm.compared:
        raise ValueError(f"{arm.agreed} of {arm.compared} agreed")
    return arm


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= COUNT_MAX:
        raise ValueError(f"count {value!r:.64}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"number {value!r:.64}")
    return float(value)


def _invalid(path: Path, found: str) -> InvalidModelError:
    return InvalidModelError(str(path), found, "sums of an experiment as they were written")
