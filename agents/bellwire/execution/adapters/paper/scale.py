"""Sizes that suit a market: what order, step and tick its first bars call for.

Only the bars that warm the features up are read, before any signal: no order is sized by what comes
after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Final

from bellwire.execution.adapters.paper.settings import BPS, PaperSettings
from bellwire.execution.order_route import OrderRoute
from bellwire.risk.decimal_text import ZERO, decimal_text, parse_decimal, round_down
from bellwire.risk.limits import RiskLimits
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import CallerError

BARS_PER_ORDER: Final = (
    2  # signals come on busy bars: of one bar's part, few fills would be partial
)
STEPS_PER_ORDER: Final = 1_000  # the step is at most a thousandth of the base order
DECIMALS_MAX: Final = 12  # finest step and tick the settings take
ORDER_BASES_MAX: Final = 2  # base orders in the largest order: more is a slip
POSITION_BASES_MAX: Final = Decimal("2.4")  # two base orders fit whole, a third is cut
PRICE_RISE_MAX: Final = 5  # times the price seen at the start: shares do rise over the years

_DAY_NANOS: Final = 86_400 * 10**9


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
    """What two ordinary bars lend to orders, to one digit: fills are often partial."""
    quantity_step: Decimal
    """Power of ten, at most 1."""
    price_tick: Decimal
    """Power of ten: the last decimal the bars use, and no coarser than a basis point."""
    reference_px: Decimal
    """Highest price seen, for limits on value."""
    intraday: bool
    """Whether bars are shorter than a day."""

    def limits(self) -> RiskLimits:
        """Return limits in the proportions of the defaults."""
        order_qty_max = self.base_qty * ORDER_BASES_MAX
        return RiskLimits(
            base_qty=self.base_qty,
            quantity_step=self.quantity_step,
            order_qty_max=order_qty_max,
            order_notional_max=order_qty_max * self.reference_px * PRICE_RISE_MAX,
            position_qty_max=round_down(self.base_qty * POSITION_BASES_MAX, self.quantity_step),
        )

    def route(self) -> OrderRoute:
        """Return how orders go out: for the day, or until filled where a day is a single bar."""
        return OrderRoute(time_in_force="DAY" if self.intraday else "GTC")

    def venue(self, settings: PaperSettings) -> PaperSettings:
        """Return the venue's settings with the step and tick of this market."""
        return replace(settings, quantity_step=self.quantity_step, price_tick=self.price_tick)


def scale_of(bars: Sequence[Bar], participation: Decimal) -> MarketScale:
    """Return the scale of a market from its first bars (80, say).

    Args:
        bars: The bars that warm the features up.
        participation: As in `PaperSettings`.

    Raises:
        NoVolumeError: half of the bars or more have no volume, or there are no bars.
    """
    volumes = [parse_decimal(bar.volume) or ZERO for bar in bars]
    capacity = (median(volumes) if volumes else ZERO) * participation * BARS_PER_ORDER
    if capacity <= 0:
        raise NoVolumeError(len(bars))
    base = Decimal(1).scaleb(capacity.adjusted()) * int(capacity.scaleb(-capacity.adjusted()))
    exponent = max(-DECIMALS_MAX, min(0, (base / STEPS_PER_ORDER).adjusted()))
    texts = [text for bar in bars for text in (bar.open, bar.high, bar.low, bar.close)]
    prices = [parse_decimal(text) or ZERO for text in texts]
    finest_seen = -max(map(_decimals, texts))
    basis_point = (max(prices) / BPS).adjusted()  # files with whole prices would round orders away
    return MarketScale(
        base_qty=_plain(max(base, Decimal(1).scaleb(exponent))),
        quantity_step=_plain(Decimal(1).scaleb(exponent)),
        price_tick=_plain(Decimal(1).scaleb(min(finest_seen, max(-DECIMALS_MAX, basis_point)))),
        reference_px=max(prices),
        intraday=bars[0].close_time_unix_nano - bars[0].open_time_unix_nano < _DAY_NANOS,
    )


def _plain(number: Decimal) -> Decimal:
    """Return the number without an exponent, so that `str` gives what settings take."""
    return Decimal(decimal_text(number))


def _decimals(text: str) -> int:
    return min(DECIMALS_MAX, len(text.partition(".")[2]))
