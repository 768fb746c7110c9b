"""Splits by time: what was tested on always comes after what was trained on, in every series."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.train.data import utc_text
from bellwire.agents.train.errors import SeriesApartError, TooFewBarsError
from bellwire.agents.train.settings import SplitSettings
from bellwire.agents.train.tape import Tape

_NEVER: Final = np.iinfo(np.int64).max  # after every close


@dataclass(frozen=True, slots=True)
class Split:
    """Bars to decide on, as numbers counted from the first bar of the series."""

    train: range
    test: range


def walk_forward(
    symbol: str, decisions: range, settings: SplitSettings, *, train_bars_min: int
) -> tuple[Split, ...]:
    """Part the bars that can be decided on into folds, oldest first.

    The last `test_share` is cut into `folds` blocks of equal length. Each is tested on by what was
    trained on everything before it, less an embargo (anchored walk-forward; the embargo is
    López de Prado, Advances in Financial Machine Learning, 2018, chapter 7).

    Args:
        symbol: For the message.
        decisions: Bars whose observation is complete and whose next return is known.
        settings: Shares and embargo.
        train_bars_min: Fewest bars that can be trained on: one episode.

    Raises:
        TooFewBarsError: the first fold has too little to train on, or a block is empty.
    """
    block = _block(len(decisions), settings)
    first = decisions.stop - block * settings.folds
    train_stop = first - settings.embargo_bars
    if block < 1 or train_stop - decisions.start < train_bars_min:
        needed = _bars_needed(settings, train_bars_min)
        raise TooFewBarsError(symbol, decisions.stop + 1, decisions.start + 1 + needed)
    starts = [first + fold * block for fold in range(settings.folds)]
    return tuple(
        Split(range(decisions.start, start - settings.embargo_bars), range(start, start + block))
        for start in starts
    )


def walk_forward_together(
    tapes: Sequence[Tape], settings: SplitSettings, *, train_bars_min: int
) -> tuple[tuple[Split, ...], ...]:
    """Part series that are trained on together; return for each fold, oldest first, one split a tape.

    Markets move together, so that one series trained on to a later time than another is tested from
    would tell what comes. All are cut at the same times: those that `walk_forward` would cut the bars
    of all series at, laid in one row by their close. One series alone is parted as there.

    Args:
        tapes: At least one.
        settings: Shares and embargo; the embargo counts each series' own bars.
        train_bars_min: Fewest bars of each series that can be trained on: one episode.

    Raises:
        TooFewBarsError: all bars together are too few.
        SeriesApartError: one of several has too little to train on before a cut, or nothing to test on
            after it.
    """
    if len(tapes) == 1:
        (tape,) = tapes
        parts = walk_forward(
            tape.bars.symbol, tape.decisions, settings, train_bars_min=train_bars_min
        )
        return tuple((part,) for part in parts)
    folds = []
    for cut, end in pairwise((*_cuts(tapes, settings), _NEVER)):
        splits = tuple(part_at(tape, cut, end, settings.embargo_bars) for tape in tapes)
        for tape, split in zip(tapes, splits, strict=True):
            if len(split.train) < train_bars_min or not split.test:
                block = f"from {utc_text(cut)}" + (f" to {utc_text(end)}" if end < _NEVER else "")
                found = len(split.train), len(split.test)
                raise SeriesApartError(tape.bars.symbol, block, found, train_bars_min)
        folds.append(splits)
    return tuple(folds)


def part_at(tape: Tape, cut: int, end: int = _NEVER, embargo_bars: int = 0) -> Split:
    """Return the bars to decide on before and from a time; either may be empty.

    Args:
        tape: The series.
        cut: Nanoseconds since 1970-01-01 UTC: tested are bars that close at it or later, trained on are
            bars whose next one has closed by then.
        end: Tested are bars that close before it.
        embargo_bars: Left out before the first bar tested, at least.
    """
    decisions, closes = tape.decisions, tape.bars.close_times
    start = _clamped(int(np.searchsorted(closes, cut)), decisions)
    stop = _clamped(int(np.searchsorted(closes, end)), decisions)
    answered = int(np.searchsorted(closes, cut, side="right")) - 1
    train_stop = _clamped(min(start - embargo_bars, answered), decisions)
    return Split(range(decisions.start, train_stop), range(start, stop))


def _cuts(tapes: Sequence[Tape], settings: SplitSettings) -> list[int]:
    """Return when each test begins, nanoseconds since 1970-01-01 UTC, oldest first."""
    closes: NDArray[np.int64] = np.sort(
        np.concatenate([tape.bars.close_times[_slice(tape.decisions)] for tape in tapes])
    )
    block = _block(len(closes), settings)
    if block < 1:
        names = ", ".join(tape.bars.symbol for tape in tapes)
        raise TooFewBarsError(names, len(closes), _bars_needed(settings, 1))
    first = len(closes) - block * settings.folds
    return [int(closes[first + fold * block]) for fold in range(settings.folds)]


def _block(decisions: int, settings: SplitSettings) -> int:
    return int(decisions * settings.test_share) // settings.folds


def _clamped(bar: int, decisions: range) -> int:
    return min(max(bar, decisions.start), decisions.stop)


def _slice(decisions: range) -> slice:
    return slice(decisions.start, decisions.stop)


def _bars_needed(settings: SplitSettings, train_bars_min: int) -> int:
    """Return about how many bars to decide on are enough: rounding may take one off."""
    kept = (settings.embargo_bars + train_bars_min) / (1.0 - settings.test_share)
    return max(int(kept) + 2, int(settings.folds / settings.test_share) + 1)
