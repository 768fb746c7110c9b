"""The monitor of one symbol: a bounded window of what is seen, scored against the training bars."""

from collections.abc import Sequence
from typing import Final

from bellwire.agents.drift.histogram import bin_of
from bellwire.agents.drift.psi import psi, psi_by_chance, psi_limit
from bellwire.agents.drift.reference import (
    ACTION_COLUMNS,
    FEATURES,
    ColumnReference,
    Reference,
)
from bellwire.agents.drift.report import ColumnScore, DriftReport, DriftVerdict
from bellwire.agents.drift.settings import DriftSettings

_TOO_FEW: Final = DriftVerdict.TOO_FEW


class _Window:
    """The newest bins of one column, one byte each; the oldest gives way to the newest."""

    __slots__ = ("_at", "_bins", "_limit", "counts", "reference")

    def __init__(self, reference: ColumnReference, bars: int) -> None:
        self.reference = reference
        self.counts = [0] * len(reference.counts)
        self._bins = bytearray()
        self._limit = bars
        self._at = 0

    def __len__(self) -> int:
        return len(self._bins)

    def push(self, value: float) -> None:
        index = bin_of(self.reference.edges, value)
        if len(self._bins) < self._limit:
            self._bins.append(index)
        else:
            self.counts[self._bins[self._at]] -= 1
            self._bins[self._at] = index
            self._at = (self._at + 1) % self._limit
        self.counts[index] += 1


class DriftMonitor:
    """Counts what a model sees and says on a symbol, and tells whether that has changed.

    A look costs about 0.1 ms, a bar 5 us. Memory: one byte a bar and column of the window.
    """

    def __init__(self, reference: Reference, settings: DriftSettings | None = None) -> None:
        self.reference = reference
        self._settings = settings or DriftSettings()
        windows = [_Window(column, self._settings.window_bars) for column in reference.columns]
        self._features = windows[: len(FEATURES)]
        self._actions = windows[len(FEATURES) :]
        self._bars = 0
        self._report = DriftReport(_TOO_FEW, ())

    @property
    def verdict(self) -> DriftVerdict:
        """Of the newest look that was due."""
        return self._report.verdict

    def observe(
        self, row: Sequence[float], actions: Sequence[int] | None = None
    ) -> DriftReport | None:
        """Count one bar; return a report when a look was due and its verdict is another one.

        Args:
            row: The newest row of the observation, seven finite numbers.
            actions: Indices that fvg, momentum and entry said; None when the model did not answer.
        """
        assert len(row) == len(FEATURES), "one number a feature"
        for window, value in zip(self._features, row, strict=True):
            window.push(value)
        if actions is not None:
            assert len(actions) == len(ACTION_COLUMNS), "one action an agent"
            for window, action in zip(self._actions, actions, strict=True):
                window.push(action)
        self._bars += 1
        if self._bars % self._settings.look_bars:
            return None
        before, self._report = self._report.verdict, self.look()
        return self._report if self._report.verdict is not before else None

    def look(self) -> DriftReport:
        """Score the window as it is; changes nothing."""
        windows = (*self._features, *self._actions)
        # Bonferroni: as many chances of a false alarm as columns.
        false_alarms = self._settings.false_alarms / len(windows)
        scores = tuple(self._score(window, false_alarms) for window in windows)
        found = {score.verdict for score in scores}
        order = (DriftVerdict.DRIFTING, _TOO_FEW, DriftVerdict.STABLE)
        return DriftReport(next(verdict for verdict in order if verdict in found), scores)

    def _score(self, window: _Window, false_alarms: float) -> ColumnScore:
        reference, bars = window.reference, len(window)
        if bars == 0:
            return ColumnScore(reference.name, 0, 0.0, 0.0, 0.0, _TOO_FEW)
        scale, degrees = reference.noise_scale, reference.noise_degrees
        index = psi(window.counts, reference.counts)
        expected = psi_by_chance(bars, reference.bars, scale=scale, degrees=degrees)
        chance = psi_limit(
            bars, reference.bars, scale=scale, degrees=degrees, false_alarms=false_alarms
        )
        limit = max(chance, self._settings.psi_min)
        verdict = DriftVerdict.DRIFTING if index > limit else DriftVerdict.STABLE
        if bars < self._settings.bars_min:
            verdict = _TOO_FEW
        return ColumnScore(reference.name, bars, index, expected, limit, verdict)
