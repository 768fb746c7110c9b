"""The drift monitors of an agent's symbols, beside its decisions and without a say in them."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bellwire.agents.drift import (
    DriftMonitor,
    DriftReferenceError,
    DriftReport,
    DriftSettings,
    DriftVerdict,
    Reference,
    read_references,
)
from bellwire.agents.features import Observation
from bellwire.agents.tactical.actions import JointAction

logger = logging.getLogger(__name__)

DIGITS: Final = 4  # of what people read; chance moves an index by more


class DriftWatch:
    """Counts what is seen of each symbol in each interval, logs each change of verdict once, and reports when asked.

    As many monitors as series; who calls bounds them.
    """

    def __init__(
        self, references: Mapping[str, Reference], settings: DriftSettings | None = None
    ) -> None:
        """Take the references of the model by symbol; none = nothing is watched."""
        self._references = references
        self._settings = settings or DriftSettings()
        self._monitors: dict[tuple[str, str], DriftMonitor] = {}

    def observe(
        self, symbol: str, interval: str, observation: Observation, actions: JointAction | None
    ) -> None:
        """Count one bar of a series; `actions` are what the model said, None when it did not."""
        if not self._references:
            return
        monitor = self._monitors.get((symbol, interval))
        if monitor is None:
            monitor = DriftMonitor(self._reference(symbol), self._settings)
            self._monitors[symbol, interval] = monitor
        row = observation.array()[-1].tolist()
        report = monitor.observe(row, None if actions is None else actions[:3])
        if report is not None:
            _log(f"{symbol} {interval}", monitor.reference.symbol, report)

    def report(self, symbol: str, interval: str) -> dict[str, object]:
        """Return the verdict and each column's score, now; why there is none, where there is none."""
        monitor = self._monitors.get((symbol, interval))
        series: dict[str, object] = {"symbol": symbol, "interval": interval}
        if monitor is None:
            why = "no bar was judged yet" if self._references else "the model has no drift.json"
            return {**series, "known": False, "reason": why}
        found = monitor.look()
        return {
            **series,
            "known": True,
            "verdict": found.verdict.value,
            "drifting": list(found.drifting),
            "compared_with": monitor.reference.symbol,
            "columns": [_rounded(asdict(score)) for score in found.scores],
        }

    def _reference(self, symbol: str) -> Reference:
        """Return the symbol's own, else that of the first symbol trained on."""
        return self._references.get(symbol) or next(iter(self._references.values()))


def open_watch(folder: Path | None, settings: DriftSettings) -> DriftWatch:
    """Return the watch of a model's folder; without references it watches nothing, and says so once.

    Args:
        folder: Of the model; None = it is elsewhere.
        settings: Of each monitor.
    """
    if folder is None:
        return DriftWatch({}, settings)
    try:
        return DriftWatch(read_references(folder), settings)
    except DriftReferenceError as error:
        logger.warning("drift is not watched: %s", error)
        return DriftWatch({}, settings)


def _log(series: str, compared_with: str, report: DriftReport) -> None:
    level = logging.WARNING if report.verdict is DriftVerdict.DRIFTING else logging.INFO
    columns = ", ".join(
        f"{score.name} {score.psi:.3f} (limit {score.limit:.3f})"
        for score in report.scores
        if score.verdict is DriftVerdict.DRIFTING
    )
    logger.log(
        level,
        "drift of %s against the training bars of %s: %s%s",
        series,
        compared_with,
        report.verdict,
        f": {columns}" if columns else "",
    )


def _rounded(values: dict[str, object]) -> dict[str, object]:
    return {
        name: round(value, DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }
