"""Splits by time: what was tested on always comes after what was trained on."""

from dataclasses import dataclass

from bellwire.agents.train.errors import TooFewBarsError
from bellwire.agents.train.settings import SplitSettings


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
    tested = int(len(decisions) * settings.test_share)
    block = tested // settings.folds
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


def _bars_needed(settings: SplitSettings, train_bars_min: int) -> int:
    """Return about how many bars to decide on are enough: rounding may take one off."""
    kept = (settings.embargo_bars + train_bars_min) / (1.0 - settings.test_share)
    return max(int(kept) + 2, int(settings.folds / settings.test_share) + 1)
