"""A rollout as lines and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bellwire.agents.inference.rollout import Rollout, Stage, StepRecord
from bellwire.cli.output import Style, console, harmless, plain_table, print_json
from bellwire.cli.units import moment_text

if TYPE_CHECKING:
    from bellwire.cli.rollout_steps import Place

__all__ = ["print_rollout", "records_table", "rollout_text", "show_rollout"]


def show_rollout(place: Place, *, as_json: bool) -> None:
    """Print a model's rollout with its records, oldest first.

    Raises:
        UsageFault: There is no such model.
        InvalidModelError: The file is damaged.
    """
    versions = place.versions()
    rollout = place.file().read()
    if rollout is None:
        if as_json:
            print_json({"model": place.model, "stage": None, "versions": versions})
        else:
            text = f"{place.model}: no rollout yet; the newest version that loads serves"
            console().print(text, style=Style.FAINT, markup=False)
        return
    print_rollout(rollout, as_json=as_json)
    if not as_json:
        console().print(records_table(rollout.records))


def print_rollout(rollout: Rollout, *, as_json: bool) -> None:
    """Print what answers now; as JSON with all records."""
    if as_json:
        print_json(asdict(rollout))
    else:
        console().print(rollout_text(rollout), style=Style.NAME, markup=False, soft_wrap=True)


def rollout_text(rollout: Rollout) -> str:
    """Return who answers, in one line."""
    text = f"{harmless(rollout.model)}: version {rollout.serving} serves"
    if rollout.stage is Stage.SHADOW:
        return f"{text}, {rollout.candidate} is its shadow"
    if rollout.stage is not Stage.SERVING:
        return f"{text}, {rollout.candidate} answers for {rollout.share:.6g} of the keys ({rollout.stage})"
    return f"{text}; a rollback leads to {rollout.previous}" if rollout.previous else text


def records_table(records: tuple[StepRecord, ...]) -> Table:
    """Return the steps, one a line."""
    table = plain_table(
        "time (UTC)", "step", "stage", "serving", "candidate", "share", "by", "why", right=(3, 4, 5)
    )
    for each in records:
        table.add_row(
            moment_text(each.time_unix_nano),
            Text(each.step, Style.NAME),
            each.stage,
            str(each.serving),
            str(each.candidate or "-"),
            f"{each.share:.6g}" if each.share else "-",
            Text(harmless(each.author)),
            Text(harmless(each.reason)),
        )
    return table
