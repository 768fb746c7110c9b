"""What a training shows: a progress bar while it runs, its card's figures at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from bellwire.cli.counting_bar import counting_bar
from bellwire.cli.output import Style, console, error_console, plain_table

if TYPE_CHECKING:
    from bellwire.agents.train.card import Card
    from bellwire.agents.train.training import Progress as TrainingProgress

__all__ = ["TrainProgress", "print_card"]

PLAIN_STEPS: Final = 4  # lines a fold in a log: one a quarter


class TrainProgress:
    """Shows joint steps made, their rate and what agents earn while they try things."""

    def __init__(self, steps: int, folds: int) -> None:
        self._steps = steps
        self._folds = folds
        self._console = error_console()
        self._is_plain = not self._console.is_terminal
        self._progress = counting_bar("steps", self._console)
        self._task = self._progress.add_task("training", total=steps * folds, note="")
        self._plain_said = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def resumed(self, fold: int, step: int) -> None:
        """Say where a checkpoint is gone on from, or that it has all steps already."""
        text = f"train: fold {fold}: " if self._folds > 1 else "train: "
        if step < self._steps:
            text += f"going on from step {step:,} of {self._steps:,}"
        else:
            text += (
                f"the checkpoint has {step:,} steps, {self._steps:,} were asked for: nothing is left to "
                "train; test and card are made anew"
            )
        # By the console: a bar under way is drawn below it.
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def update(self, progress: TrainingProgress) -> None:
        """Show where it stands after an update."""
        made = self._steps * (progress.fold - 1) + min(progress.step, self._steps)
        reward_bp = 100.0 * progress.report.reward_mean
        learnt = f"{reward_bp:+.2f} bp/bar"
        where = f" {progress.fold}/{self._folds}" if self._folds > 1 else ""
        self._progress.update(
            self._task, completed=made, description=f"training{where}", note=learnt
        )
        quarter = made * PLAIN_STEPS // self._steps
        if self._is_plain and quarter > self._plain_said:
            self._plain_said = quarter
            total = self._steps * self._folds
            sys.stderr.write(f"train: {made:,} of {total:,} steps, {learnt} while exploring\n")
            sys.stderr.flush()


def print_card(card: Card, folder: Path) -> None:
    """Print the comparison of every test, the verdict, and where the files are."""
    from bellwire.agents.train.card_page import comparison, verdict

    out = console()
    for result in card.results:
        data = result.data
        out.print(
            f"{result.symbol} {data.interval}  tested on {data.test_first} … {data.test_last}, "
            f"{result.trained.bars:,} bars",
            style=Style.TITLE,
        )
        header, *rows = comparison(result)
        table = plain_table(*header, right=tuple(range(1, len(header))))
        for row in rows:
            table.add_row(*row)
        out.print(table)
        out.print()
    out.print(verdict(card).replace("**", ""))
    run = card.run
    out.print(
        f"{card.steps:,} steps in {run.seconds:,.0f} s; model and card in {folder}",
        style=Style.FAINT,
    )
