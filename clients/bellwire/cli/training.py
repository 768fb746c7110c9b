"""The life of `bellwire train`: read bars, train until done or told to stop, show the card."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

from bellwire.cli.faults import ExitCode, UsageFault
from bellwire.cli.output import print_json
from bellwire.wire.errors import CallerError

if TYPE_CHECKING:
    from bellwire.agents.train import BarArrays, Tape, TrainSettings
    from bellwire.agents.train.card import Card
    from bellwire.agents.train.system import System
    from bellwire.agents.train.training import Job, Watcher
    from bellwire.cli.settings import SettingsTree

__all__ = [
    "BarsFlags",
    "Place",
    "SettingsFlags",
    "StopRequest",
    "TrainFlags",
    "claimed",
    "place_of",
    "run_training",
]

# Looked for before any data are read: to read them and then fail would waste the user's time.
NEEDED: Final = ("torch", "onnx")
NEEDED_BY_STORE: Final = (*NEEDED, "duckdb")
TACTICAL: Final = "tactical"
SECTIONS: Final = ("train", "split", "query")
USUAL_DATA: Final = "eurusd-1h"


@dataclass(frozen=True, slots=True)
class BarsFlags:
    """Where the bars come from: files and names, or a topic of a store."""

    data: tuple[str, ...] = ()
    """Empty = the bundled series."""
    store: Path | None = None
    topic: str | None = None
    symbols: tuple[str, ...] = ()
    """Of the store; empty = all."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the model goes, and which version it is."""

    folder: Path
    version: int = 1
    is_next: bool = False
    """Whether the number was chosen here, so that somebody else may take it meanwhile."""


@dataclass(frozen=True, slots=True)
class SettingsFlags:
    """Where settings come from beside the environment."""

    config: Path | None = None
    assignments: tuple[str, ...] = ()
    folds: int | None = None
    """None = as the settings have it."""


@dataclass(frozen=True, slots=True)
class TrainFlags:
    """What the command line says; None = the settings' own default."""

    bars: BarsFlags
    place: Place
    steps: int | None = None
    fee_bp: float | None = None
    variant: str = "tiny"
    settings: SettingsFlags = field(default_factory=SettingsFlags)
    model: str = TACTICAL
    """Or strategic."""


class StopRequest:
    """Ctrl-C asks to stop after the update under way; a second one ends the process at once."""

    def __init__(self) -> None:
        self.is_made = False
        self._before: signal._HANDLER = signal.SIG_DFL

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.is_made = True
        signal.signal(number, signal.default_int_handler)


def place_of(
    out: Path | None, models: Path | None, *, resume: bool, model: str = TACTICAL
) -> Place:
    """Return where to train to: a folder that was named, or the next version in a folder of models.

    Raises:
        UsageFault: Neither or both were given, the folder cannot be read, or there is nothing to resume.
    """
    from bellwire.agents.inference.model import VERSION_MAX
    from bellwire.agents.inference.repository.folder import versions_in

    if (out is None) == (models is None):
        raise UsageFault("give either --out or --models: where the model goes")
    if out is not None:
        name = out.absolute().name
        is_version = name.isascii() and name.isdigit() and name[0] != "0"
        return Place(out, int(name) if is_version and int(name) <= VERSION_MAX else 1)
    assert models is not None, "one of them was given"
    if resume:
        raise UsageFault("--models numbers a new version; name the one to resume with --out")
    folder = models / model
    try:
        version = max(versions_in(folder), default=0) + 1 if folder.exists() else 1
    except OSError as error:
        raise UsageFault(f"--models {models}: {error.strerror or error}") from error
    return Place(folder / str(version), version, is_next=True)


@contextmanager
def claimed(place: Place) -> Iterator[None]:
    """Take the next version's folder before anybody else does; give it back if nothing was written.

    Raises:
        UsageFault: Somebody was faster.
        OSError: It cannot be made.
    """
    if not place.is_next:
        yield
        return
    try:
        place.folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageFault(f"{place.folder} was taken meanwhile; call again for the next") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Not empty, as a rule: then it stays.
            place.folder.rmdir()


def run_training(flags: TrainFlags, *, seed: int, resume: bool, as_json: bool) -> ExitCode:
    """Train and print the card; return INTERRUPTED if it was stopped.

    Raises:
        ModuleNotFoundError: torch or onnx is not installed.
        UsageFault: a flag, a setting, the data or the folder cannot be used.
        QueryLimitError: the store's bars need more memory or time than a query may have.
    """
    _check(flags.bars)
    tree = _tree(flags.settings)
    for package in NEEDED if flags.bars.store is None else NEEDED_BY_STORE:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    try:
        job = _job(flags, tree, seed, resume)
        with claimed(flags.place):
            return _train(flags.model, job, as_json=as_json)
    except CallerError as error:
        raise UsageFault(error.message) from error
    except OSError as error:
        raise UsageFault(f"{flags.place.folder}: {error.strerror or error}") from error


def _job(flags: TrainFlags, tree: SettingsTree, seed: int, resume: bool) -> Job:
    from bellwire.agents.train import MappoSettings, SplitSettings
    from bellwire.agents.train.system import STRATEGIC
    from bellwire.agents.train.system import TACTICAL as TACTICAL_SYSTEM

    mappo, split = tree.of(MappoSettings), tree.of(SplitSettings)
    settings = _settings(flags, seed)
    system = TACTICAL_SYSTEM if flags.model == TACTICAL else STRATEGIC
    tapes = _tapes(flags.bars, system, tree, seed)
    from bellwire.agents.train.training import Job  # Seconds: torch comes with it.

    place = flags.place
    return Job(tapes, place.folder, settings, mappo, split, resume, place.version)


def _tree(flags: SettingsFlags) -> SettingsTree:
    from bellwire.cli.settings import Request, load_settings

    given = {"split.folds": flags.folds}
    try:
        return load_settings(Request(flags.config, flags.assignments, given, SECTIONS))
    except CallerError as error:
        raise UsageFault(error.message) from error


def _settings(flags: TrainFlags, seed: int) -> TrainSettings:
    from bellwire.agents.train import TrainSettings

    usual = TrainSettings()
    return TrainSettings(
        steps=usual.steps if flags.steps is None else flags.steps,
        fee_bp=usual.fee_bp if flags.fee_bp is None else flags.fee_bp,
        seed=seed,
        variant=flags.variant,
    )


def _check(bars: BarsFlags) -> None:
    if bars.store is None and (bars.topic is not None or bars.symbols):
        raise UsageFault("--topic and --symbol are those of a store; name it with --from-store")
    if bars.store is not None and bars.data:
        raise UsageFault("--data and --from-store are both given; choose one")


def _bars(flags: BarsFlags, tree: SettingsTree, seed: int) -> tuple[BarArrays, ...]:
    if flags.store is None:
        from bellwire.agents.train import load_bars

        return tuple(load_bars(name, seed=seed) for name in flags.data or (USUAL_DATA,))
    from bellwire.cli.recorded_bars import TOPIC, StoredBars, load_stored_bars
    from bellwire.sink import QuerySettings

    settings = tree.of(QuerySettings)
    symbols = tuple(dict.fromkeys(flags.symbols))
    return load_stored_bars(StoredBars(flags.store, flags.topic or TOPIC, symbols), settings)


def _tapes(flags: BarsFlags, system: System, tree: SettingsTree, seed: int) -> tuple[Tape, ...]:
    from bellwire.agents.train import record

    tapes = tuple(record(bars, system) for bars in _bars(flags, tree, seed))
    symbols = [tape.bars.symbol for tape in tapes]
    repeated = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if repeated:
        raise UsageFault(f"--data names {', '.join(repeated)} twice; one file a symbol")
    return tapes


def _train(model: str, job: Job, *, as_json: bool) -> ExitCode:
    from bellwire.agents.train.training import Watcher
    from bellwire.cli.train_view import TrainProgress, print_card

    with StopRequest() as stop, TrainProgress(job.train.steps, job.split.folds) as progress:
        card = _card(model, job, Watcher(progress.update, lambda: stop.is_made, progress.resumed))
    if card is None:
        sys.stderr.write(
            f"train: stopped; the checkpoint is kept: go on with --resume --out {job.folder}\n"
        )
        return ExitCode.INTERRUPTED
    if as_json:
        print_json(json.loads(card.to_json()))
    else:
        print_card(card, job.folder)
    return ExitCode.OK


def _card(model: str, job: Job, watcher: Watcher) -> Card | None:
    from bellwire.agents.train.strategic import STRATEGIC_TASK
    from bellwire.agents.train.tactical import TACTICAL_TASK
    from bellwire.agents.train.training import train

    if model == TACTICAL:
        return train(TACTICAL_TASK, job, watcher)
    return train(STRATEGIC_TASK, job, watcher)
