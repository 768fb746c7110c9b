"""Sizes that suit a market: what order, step and tick its first bars call for.

Only the bars that warm the features up are read, before any signal: no order is sized by what comes
after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Final

from bellwire.execution.adapters.paper.settings import BPS
from bellwire.risk.decimal_text import ZERO, parse_decimal
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import CallerError

STEPS_PER_ORDER: Final = 1_000  # the step is at most a thousandth of the base order
DECIMALS_MAX: Final = 12  # finest step and tick the settings take


class NoVolumeError(CallerError):
    """No order can be sized from these bars."""

    reason = "PAPER_NO_VOLUME"

    def __init__(self, bars: int) -> None:
        self.bars = bars
        super().__init__(
            f"{bars} bars have a median volume of 0, so no order could fill; give a file with volumes, "
            "or set the quantities yourself"
        )


@dataclass(frozen=True, slots=True)
class MarketScale:
    """Quantities and prices as a market counts them."""

    base_qty: Decimal
    """What an ordinary bar lends to orders, to one digit: about every second order fills at once."""
    quantity_step: Decimal
    """Power of ten, at most 1."""
    price_tick: Decimal
    """Power of ten: the last decimal the bars use, and no coarser than a basis point."""
    reference_px: Decimal
    """Highest price seen, for limits on value."""


def scale_of(bars: Sequence[Bar], participation: Decimal) -> MarketScale:
    """Return the scale of a market from its first bars (80, say).

    Args:
        bars: The bars that warm the features up.
        participation: As in `PaperSettings`.

    Raises:
        NoVolumeError: half of the bars or more have no volume, or there are no bars.
    """
    volumes = [parse_decimal(bar.volume) or ZERO for bar in bars]
    capacity = (median(volumes) if volumes else ZERO) * participation
    if capacity <= 0:
        raise NoVolumeError(len(bars))
    base = Decimal(1).scaleb(capacity.adjusted()) * int(capacity.scaleb(-capacity.adjusted()))
    exponent = max(-DECIMALS_MAX, min(0, (base / STEPS_PER_ORDER).adjusted()))
    texts = [text for bar in bars for text in (bar.open, bar.high, bar.low, bar.close)]
    prices = [parse_decimal(text) or ZERO for text in texts]
    finest_seen = -max(map(_decimals, texts))
    basis_point = (max(prices) / BPS).adjusted()  # files with whole prices would round orders away
    return MarketScale(
        base_qty=max(base, Decimal(1).scaleb(exponent)),
        quantity_step=Decimal(1).scaleb(exponent),
        price_tick=Decimal(1).scaleb(min(finest_seen, max(-DECIMALS_MAX, basis_point))),
        reference_px=max(prices),
    )


def _decimals(text: str) -> int:
    return min(DECIMALS_MAX, len(text.partition(".")[2]))
