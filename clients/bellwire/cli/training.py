"""The life of `bellwire train`: read bars, train until done or told to stop, show the card."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self

from bellwire.cli.faults import ExitCode, UsageFault
from bellwire.cli.output import print_json
from bellwire.wire.errors import CallerError

if TYPE_CHECKING:
    from bellwire.agents.train import Tape, TrainSettings
    from bellwire.agents.train.tactical import Job

__all__ = ["StopRequest", "TrainFlags", "run_training"]

# Looked for before any data are read: to read them and then fail would waste the user's time.
NEEDED: Final = ("torch", "onnx")


@dataclass(frozen=True, slots=True)
class TrainFlags:
    """What the command line says; None = the settings' own default."""

    data: tuple[str, ...]
    out: Path
    steps: int | None = None
    fee_bp: float | None = None
    variant: str = "tiny"


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


def run_training(
    flags: TrainFlags, *, seed: int, folds: int, resume: bool, as_json: bool
) -> ExitCode:
    """Train and print the card; return INTERRUPTED if it was stopped.

    Raises:
        ModuleNotFoundError: torch or onnx is not installed.
        UsageFault: a flag, the data or the folder cannot be used.
    """
    for package in NEEDED:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    from bellwire.agents.train import SplitSettings

    try:
        settings = _settings(flags, seed)
        split = SplitSettings(folds=folds)
        tapes = _tapes(flags.data, seed)
        from bellwire.agents.train.tactical import Job  # Seconds: torch comes with it.

        job = Job(tapes, flags.out, settings, split=split, resume=resume)
        return _train(job, as_json=as_json)
    except CallerError as error:
        raise UsageFault(error.message) from error
    except OSError as error:
        raise UsageFault(f"--out {flags.out}: {error.strerror or error}") from error


def _settings(flags: TrainFlags, seed: int) -> TrainSettings:
    from bellwire.agents.train import TrainSettings

    usual = TrainSettings()
    return TrainSettings(
        steps=usual.steps if flags.steps is None else flags.steps,
        fee_bp=usual.fee_bp if flags.fee_bp is None else flags.fee_bp,
        seed=seed,
        variant=flags.variant,
    )


def _tapes(names: tuple[str, ...], seed: int) -> tuple[Tape, ...]:
    from bellwire.agents.train import load_bars, record

    tapes = tuple(record(load_bars(name, seed=seed)) for name in names)
    symbols = [tape.bars.symbol for tape in tapes]
    repeated = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if repeated:
        raise UsageFault(f"--data names {', '.join(repeated)} twice; one file a symbol")
    return tapes


def _train(job: Job, *, as_json: bool) -> ExitCode:
    from bellwire.agents.train.tactical import Watcher, train_tactical
    from bellwire.cli.train_view import TrainProgress, print_card

    with StopRequest() as stop, TrainProgress(job.train.steps, job.split.folds) as progress:
        watcher = Watcher(progress.update, lambda: stop.is_made)
        card = train_tactical(job, watcher)
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
