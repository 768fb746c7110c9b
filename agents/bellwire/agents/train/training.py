"""A whole training: split, train, test, write the model and its card."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bellwire.agents.drift import write_references
from bellwire.agents.inference.model import MANIFEST
from bellwire.agents.train import checkpoint as checkpoints
from bellwire.agents.train.card import (
    CARD,
    RANDOM_SEEDS,
    Card,
    Result,
    Run,
    code_sha256,
    code_version,
    data_of,
    figures,
)
from bellwire.agents.train.card_page import PAGE, page
from bellwire.agents.train.drift import references
from bellwire.agents.train.errors import NothingToResumeError, TrainingExistsError
from bellwire.agents.train.evaluate import buy_and_hold, evaluate
from bellwire.agents.train.mappo import UpdateReport
from bellwire.agents.train.policy import Policy
from bellwire.agents.train.settings import MappoSettings, SplitSettings, TrainSettings
from bellwire.agents.train.tape import Tape
from bellwire.agents.train.task import Task, W
from bellwire.agents.train.trainer import Trainer
from bellwire.agents.train.vector_env import Ground
from bellwire.agents.train.walk_forward import Split, walk_forward_together

WEIGHTS: Final = "weights.npz"
_RESULTS: Final = (WEIGHTS, CARD, MANIFEST)  # any of them tells of a model, whoever made it
CHECKPOINT_SECONDS: Final = 15.0  # what a crash costs at most; a checkpoint takes 10 ms


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What to train, and where to put it."""

    tapes: tuple[Tape, ...]
    """One a symbol, recorded for the task's system; all are trained on together and tested on apart."""
    folder: Path
    """Gets model, weights, card, drift reference and checkpoints; made when absent."""
    train: TrainSettings = field(default_factory=TrainSettings)
    mappo: MappoSettings = field(default_factory=MappoSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    resume: bool = False
    """Go on from the folder's checkpoint."""
    version: int = 1
    """Of the model, at least 1; where versions are served from it is the folder's name."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands after an update."""

    fold: int
    """Counted from 1."""
    step: int
    """Joint steps made in this fold."""
    report: UpdateReport


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks on, and may stop it."""

    progressed: Callable[[Progress], None] = lambda progress: None
    """Called after every update."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every update; if so, the checkpoint is kept and no card is written."""
    resumed: Callable[[int, int], None] = lambda fold, step: None
    """Called with the fold and the steps made before, when a checkpoint is gone on with."""


def train(task: Task[W], job: Job, watcher: Watcher | None = None) -> Card | None:
    """Train, test, write model, weights and card, and return the card; None if it was stopped. Blocks.

    The folder is then a version of a model as `bellwire model` and the agents take it.

    Raises:
        TooFewBarsError: a series is too short to train and test on.
        SeriesApartError: several series share too little time to be cut at the same times.
        TrainingExistsError: the folder holds a training or a model, and `resume` is False.
        NothingToResumeError: it holds no checkpoint, and `resume` is True.
        CheckpointError: the checkpoint cannot be gone on with.
        OSError: the folder cannot be written.
    """
    assert all(tape.system is task.system for tape in job.tapes), "tapes of another system"
    watcher = watcher or Watcher()
    began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    folds = _folds(job)
    if job.resume:
        _check_there_is_one(job.folder)
    else:
        _check_nothing_is_lost(job.folder)
    job.folder.mkdir(parents=True, exist_ok=True)
    trained = []
    for fold, splits in enumerate(folds, 1):
        trainer = _trainer(task, job, fold, splits)
        if trainer.step:
            watcher.resumed(fold, trainer.step)
        if not _run(trainer, job, fold, watcher):
            return None
        trained.append(trainer)
    weights = [each.weights() for each in trained]
    task.save(job.folder / WEIGHTS, weights[-1])
    card = _card(task, job, began, trained, _results(task, job, folds, weights))
    if task.has_drift:
        policy = task.policy(weights[-1])
        write_references(job.folder, references(policy, job.tapes, folds[-1]))
    _write(task, job, weights[-1], card)
    return card


def checkpoint_path(folder: Path, fold: int) -> Path:
    """Return where the checkpoint of a fold lies."""
    return folder / f"checkpoint-{fold}.npz"


def _write(task: Task[W], job: Job, weights: W, card: Card) -> None:
    """Write the card for machines and for people, and the model last: only with it the folder serves."""
    (job.folder / CARD).write_text(card.to_json(), encoding="utf-8")
    (job.folder / PAGE).write_text(page(card, task.system), encoding="utf-8")
    name = task.system.name
    task.write(job.folder, weights, name=name, version=job.version, metadata=_origin(card))


def _check_nothing_is_lost(folder: Path) -> None:
    for path in (checkpoint_path(folder, 1), *(folder / name for name in _RESULTS)):
        if path.exists():
            raise TrainingExistsError(folder, path.name)


def _check_there_is_one(folder: Path) -> None:
    if not checkpoint_path(folder, 1).exists():
        raise NothingToResumeError(folder, checkpoint_path(folder, 1).name)


def _folds(job: Job) -> list[tuple[Split, ...]]:
    """Return for each fold one split a tape; all are cut at the same times."""
    episode = job.mappo.episode_bars
    return list(walk_forward_together(job.tapes, job.split, train_bars_min=episode + 1))


def _trainer(task: Task[W], job: Job, fold: int, splits: tuple[Split, ...]) -> Trainer[W]:
    grounds = tuple(
        Ground(tape, split.train) for tape, split in zip(job.tapes, splits, strict=True)
    )
    trainer = Trainer(task, grounds, job.train, job.mappo)
    path = checkpoint_path(job.folder, fold)
    if job.resume and (fold == 1 or path.exists()):
        trainer.restore(checkpoints.load(path, trainer.origin))
    return trainer


def _run(trainer: Trainer[W], job: Job, fold: int, watcher: Watcher) -> bool:
    """Make the steps that are left; return False if it was stopped. The checkpoint is kept."""
    path = checkpoint_path(job.folder, fold)
    saved_seconds = trainer.seconds
    stopped = False
    while not trainer.is_done and not stopped:
        report = trainer.update()
        watcher.progressed(Progress(fold, trainer.step, report))
        stopped = watcher.should_stop()
        if trainer.seconds - saved_seconds >= CHECKPOINT_SECONDS:
            checkpoints.save(path, trainer.checkpoint())
            saved_seconds = trainer.seconds
    checkpoints.save(path, trainer.checkpoint())
    return not stopped


def _results(
    task: Task[W], job: Job, folds: list[tuple[Split, ...]], weights: list[W]
) -> tuple[Result, ...]:
    begun = [replace(job.train, seed=seed) for seed in _untrained_seeds(job)]
    untrained = [task.policy(task.beginning(each, job.mappo.output_gain)) for each in begun]
    return tuple(
        _result(job, (fold, tape, split), task.policy(weights[fold - 1]), untrained)
        for fold, splits in enumerate(folds, 1)
        for tape, split in zip(job.tapes, splits, strict=True)
    )


def _result(
    job: Job, test: tuple[int, Tape, Split], policy: Policy, untrained: list[Policy]
) -> Result:
    fold, tape, split = test
    fee_bp = job.train.fee_bp
    return Result(
        tape.bars.symbol,
        fold,
        data_of(tape, split),
        figures(evaluate(policy, tape, split.test), fee_bp),
        figures(buy_and_hold(tape, split.test), fee_bp),
        tuple(figures(evaluate(each, tape, split.test), fee_bp) for each in untrained),
    )


def _origin(card: Card) -> dict[str, object]:
    """Return what the model's manifest says of its training; the card says the rest."""
    # Of several folds the last counts: the weights are its own, and it has seen the tests before it.
    tested_from = {result.data.sha256: result.data.test_first for result in card.results}
    return {
        "card": CARD,
        "data_sha256": sorted(tested_from),
        "fee_bp": card.fee_bp,
        "seed": card.seed,
        "split": card.split_settings,
        "steps": card.steps,
        "tested_from": tested_from,
        "weights_sha256": card.weights_sha256,
    }


def _untrained_seeds(job: Job) -> tuple[int, ...]:
    """Return the seeds after the training's own, so that none began as it did."""
    return tuple((job.train.seed + 1 + index) % 2**32 for index in range(RANDOM_SEEDS))


def _card(
    task: Task[W], job: Job, began: str, trained: list[Trainer[W]], results: tuple[Result, ...]
) -> Card:
    seconds = sum(trainer.seconds for trainer in trained)
    steps = sum(trainer.step for trainer in trained)
    return Card(
        model=task.system.name,
        variant=task.variant(job.train),
        steps=trained[-1].step,
        seed=job.train.seed,
        fee_bp=job.train.fee_bp,
        mappo_settings=asdict(job.mappo),
        split_settings=asdict(job.split),
        code_version=code_version(),
        code_sha256=code_sha256(task.code),
        weights_sha256=hashlib.sha256((job.folder / WEIGHTS).read_bytes()).hexdigest(),
        untrained_seeds=_untrained_seeds(job),
        results=results,
        run=Run(began, round(seconds, 1), round(steps / max(seconds, 1e-9))),
    )
