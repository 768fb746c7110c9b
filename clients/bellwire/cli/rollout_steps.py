"""Steps of rollouts, taken in the folder of models that servers follow."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bellwire.agents.inference.errors import InvalidModelError
from bellwire.agents.inference.repository import FoundVersion, scan
from bellwire.agents.inference.rollout import Author, Rollout, RolloutFile, Stage
from bellwire.cli.faults import UsageFault
from bellwire.cli.model_trial import Trial, try_version
from bellwire.cli.output import harmless
from bellwire.cli.rollout_view import print_rollout

__all__ = [
    "Place",
    "take_move",
    "take_pin",
    "take_promote",
    "take_rollback",
    "take_start",
]

Signed: TypeAlias = "tuple[str, str]"
"""Author, empty being the shell's user, and reason."""
Split: TypeAlias = "tuple[str, float]"
"""Stage as it was typed, and share of the keys."""


@dataclass(frozen=True, slots=True)
class Place:
    """One model in a folder of them."""

    models: Path
    model: str

    def versions(self) -> tuple[int, ...]:
        """Return the model's versions, ascending.

        Raises:
            UsageFault: The folder cannot be read, or has no such model.
        """
        try:
            found = scan(self.models)
        except InvalidModelError as error:
            raise UsageFault(error.message) from error
        versions = tuple(each.version for each in found if each.name == self.model)
        if not versions:
            names = ", ".join(sorted({harmless(each.name) for each in found})) or "none"
            raise UsageFault(f"{self.models} has no model {self.model!r}; there are: {names}")
        return versions

    def file(self) -> RolloutFile:
        """Return the model's rollout."""
        return RolloutFile(self.models, self.model)


def take_pin(place: Place, version: int, signed: Signed, *, as_json: bool) -> None:
    """Have a version serve from now on."""
    _demand_servable(place, version)
    author, now = _author(signed), time.time_ns()
    _take(place, lambda rollout: rollout.pin(author, now), serving=version, as_json=as_json)


def take_start(
    place: Place, versions: tuple[int, int], split: Split, signed: Signed, *, as_json: bool
) -> None:
    """Begin to look at a candidate.

    `versions` are its own and the one in service, for a first step; 0 = the newest before it that loads.
    """
    candidate, serving = versions
    _demand_servable(place, candidate)
    stage, author, now = _stage(split), _author(signed), time.time_ns()
    if serving:
        _demand_servable(place, serving)
    elif place.file().read() is None:
        serving = _newest_servable(place, candidate)
    _take(
        place,
        lambda rollout: rollout.start(candidate, stage, split[1], author, now),
        serving=serving,
        as_json=as_json,
    )


def take_move(place: Place, split: Split, signed: Signed, *, as_json: bool) -> None:
    """Give the candidate another stage or share."""
    stage, author, now = _stage(split), _author(signed), time.time_ns()
    _take(place, lambda rollout: rollout.move(stage, split[1], author, now), as_json=as_json)


def take_promote(place: Place, signed: Signed, *, as_json: bool) -> None:
    """Let the candidate serve."""
    author, now = _author(signed), time.time_ns()
    place.versions()
    rollout = place.file().read()
    if rollout is not None and rollout.candidate:
        _demand_servable(place, rollout.candidate)
    _take(place, lambda rollout: rollout.promote(author, now), as_json=as_json)


def take_rollback(place: Place, signed: Signed, *, as_json: bool) -> None:
    """Drop the candidate, or go back to the version before.

    A candidate is dropped whatever becomes of the version in service; that one is warned of when it does not load.
    """
    author, now = _author(signed), time.time_ns()
    place.versions()
    rollout = place.file().read()
    if rollout is not None and rollout.candidate:
        problem = _trial(place, rollout.serving).problem
        if problem:
            _warn(f"version {rollout.serving} serves from now on and does not load: {problem}")
    elif rollout is not None and rollout.previous:
        _demand_servable(place, rollout.previous)
    _take(place, lambda rollout: rollout.rollback(author, now), as_json=as_json)


def _take(
    place: Place, step: Callable[[Rollout], Rollout], *, as_json: bool, serving: int = 0
) -> None:
    place.versions()
    if not serving and place.file().read() is None:
        raise UsageFault(f"model {place.model!r} has no rollout yet; begin with pin or start")
    print_rollout(place.file().take(step, serving), as_json=as_json)


def _demand(place: Place, version: int) -> None:
    versions = place.versions()
    if version not in versions:
        known = ", ".join(map(str, versions))
        raise UsageFault(f"model {place.model!r} has no version {version}; there are {known}")


def _demand_servable(place: Place, version: int) -> None:
    """Refuse a version that a server would not load: it would go on with another, and say so only there.

    Raises:
        UsageFault: It is not there, its gate has not passed it, or it cannot be loaded.
    """
    _demand(place, version)
    trial = _trial(place, version)
    if trial.problem:
        raise UsageFault(
            f"version {version} of {place.model!r} cannot be served: {harmless(trial.problem)}; "
            "the rollout stays as it is: mend it, or publish another version"
        )
    _warn_untried(version, trial)


def _newest_servable(place: Place, candidate: int) -> int:
    """Return the newest version below the candidate that a server would load: the one that answers now.

    Raises:
        UsageFault: There is none.
    """
    below = [each for each in place.versions() if each < candidate]
    problems = []
    for version in reversed(below):
        trial = _trial(place, version)
        if not trial.problem:
            _warn_untried(version, trial)
            return version
        problems.append(f"{version} ({harmless(trial.problem)})")
    if not problems:
        raise UsageFault(
            f"no version of {place.model!r} is below {candidate}; name the one in service with --serving"
        )
    raise UsageFault(
        f"no version of {place.model!r} below {candidate} can be served: {', '.join(problems)}; "
        "name the one in service with --serving"
    )


def _trial(place: Place, version: int) -> Trial:
    folder = place.models / place.model / str(version)
    try:
        manifest = FoundVersion(place.model, version, folder).read_manifest()
        return try_version(folder, manifest, batches=(1, manifest.batch_max), quick_bytes_max=None)
    except InvalidModelError as error:
        return Trial(error.message)


def _warn_untried(version: int, trial: Trial) -> None:
    if trial.untried:
        _warn(f"version {version} was not tried: {trial.untried}")


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {harmless(text)}\n")


def _stage(split: Split) -> Stage:
    stage = {each.value.lower(): each for each in Stage if each is not Stage.SERVING}.get(split[0])
    if stage is None:
        raise UsageFault(f"--stage is {split[0]!r}; expected shadow, canary or ab")
    return stage


def _author(signed: Signed) -> Author:
    name, reason = signed
    if not reason.strip():
        raise UsageFault("--reason is empty; say why, for those who ask later")
    return Author(name or getpass.getuser(), reason)
