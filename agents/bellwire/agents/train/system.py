"""What a system of three agents sees and does to the position: all that training needs to know of it in numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.features import ROWS, feature_rows, ready_after_bars
from bellwire.agents.strategic.features import CLOSES, FEATURES, strategic_rows
from bellwire.agents.strategic.networks import AGENTS as STRATEGIC_AGENTS
from bellwire.agents.tactical.networks import AGENTS as TACTICAL_AGENTS
from bellwire.agents.train.data import BarArrays
from bellwire.agents.train.position import held, moved

_Rows: TypeAlias = NDArray[np.float32]
_Positions: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class System:
    """Three agents with three actions each that share one position."""

    name: str
    """Of the model that is made."""
    agents: tuple[str, str, str]
    """In the order of the actions."""
    words: str
    """What the three actions of each are, for the card."""
    ready_after_bars: int
    """Bars until an observation is complete."""
    window: int
    """Rows of an observation, the newest last."""
    sees_position: bool
    """Whether the networks are given the position beside the observation."""
    rows_of: Callable[[BarArrays], _Rows]
    """Bars to (bars, columns); what is not known yet is 0."""
    positions_after: Callable[[_Positions, NDArray[np.int64]], _Positions]
    """Positions (n,) and actions (n, 3) to the positions (n,) held over the next bar."""


def _tactical_rows(bars: BarArrays) -> _Rows:
    return feature_rows(bars.open, bars.high, bars.low, bars.close, bars.volume)


def _strategic_rows(bars: BarArrays) -> _Rows:
    rows = np.zeros((len(bars), FEATURES), np.float32)
    rows[CLOSES - 1 :] = strategic_rows(bars.close)
    return rows


TACTICAL: Final = System(
    name="tactical",
    agents=TACTICAL_AGENTS,
    words="short / hold / long; entry: wait / half / whole",
    ready_after_bars=ready_after_bars(),
    window=ROWS,
    sees_position=True,
    rows_of=_tactical_rows,
    positions_after=moved,
)
STRATEGIC: Final = System(
    name="strategic",
    agents=STRATEGIC_AGENTS,
    words="down / neutral / up; mmd: avoid / reduce / trade",
    ready_after_bars=CLOSES,
    window=1,
    sees_position=False,
    rows_of=_strategic_rows,
    positions_after=held,
)
