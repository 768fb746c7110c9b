"""At what price, if at all, one bar trades one order. Pure functions; prices are decimals.

Rules, pessimistic where a bar leaves a choice:
1. Market orders trade at the open, plus half the spread when buying, minus it when selling.
2. A limit order that the open's quote satisfies trades at that quote.
3. Another trades at its limit, and only when the bar went through it: a touch is not enough, because
   nobody knows how many orders stood before ours at that price.
4. Immediate orders (IOC, FOK) see the open's quote and nothing else of the bar.
5. Quotes are rounded to the tick against the order.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.risk.decimal_text import parse_decimal
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import CallerError

_NUMBERS: Final = ("open", "high", "low", "volume")


class UnusableBarError(CallerError):
    """The paper venue cannot trade against this bar."""

    reason = "PAPER_BAR_UNUSABLE"

    def __init__(self, symbol: str, field: str, found: str) -> None:
        self.symbol = symbol
        self.field = field
        self.found = found
        super().__init__(
            f"bar of {symbol!r} has {field} {found!r}; prices must be plain decimals above 0 with "
            "low <= open <= high, volume at least 0, and it must close after it opens"
        )


@dataclass(frozen=True, slots=True)
class BarPrices:
    """What the venue reads of a bar."""

    symbol: str
    open_time_unix_nano: int
    close_time_unix_nano: int
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


def read_bar(bar: Bar) -> BarPrices:
    """Return the numbers of a bar.

    Raises:
        UnusableBarError: a number cannot be read or contradicts another.
    """
    numbers: dict[str, Decimal] = {}
    for name in _NUMBERS:
        text: str = getattr(bar, name)
        number = parse_decimal(text)
        if number is None or number < 0 or (number == 0 and name != "volume"):
            raise UnusableBarError(bar.symbol, name, text)
        numbers[name] = number
    if not numbers["low"] <= numbers["open"] <= numbers["high"]:
        raise UnusableBarError(bar.symbol, "open", bar.open)
    if bar.close_time_unix_nano <= bar.open_time_unix_nano:
        raise UnusableBarError(bar.symbol, "close time", str(bar.close_time_unix_nano))
    return BarPrices(bar.symbol, bar.open_time_unix_nano, bar.close_time_unix_nano, **numbers)


def opening_quote(bar: BarPrices, sign: int, settings: PaperSettings) -> Decimal:
    """Return what a buyer (+1) pays or a seller (-1) gets at the open, never below one tick."""
    raw = bar.open * (1 + sign * settings.half_spread)
    rounding = ROUND_CEILING if sign > 0 else ROUND_FLOOR
    ticks = (raw / settings.price_tick).to_integral_value(rounding)
    return max(ticks, Decimal(1)) * settings.price_tick


def trade_price(
    bar: BarPrices,
    sign: int,
    limit: Decimal | None,
    immediate: bool,
    settings: PaperSettings,
) -> Decimal | None:
    """Return the price at which the bar trades an order, or None when it does not.

    Args:
        bar: The bar to trade against.
        sign: +1 buys, -1 sells.
        limit: Worst price the order takes; None = market order.
        immediate: Whether only the open counts (IOC, FOK).
        settings: Assumptions of the venue.
    """
    quote = opening_quote(bar, sign, settings)
    if limit is None or (limit - quote) * sign >= 0:
        return quote
    if immediate:
        return None
    beyond = limit - bar.low if sign > 0 else bar.high - limit
    return limit if beyond > 0 else None


def aggressiveness(bar: BarPrices, sign: int, limit: Decimal | None) -> tuple[bool, Decimal]:
    """Return a sort key: market orders lowest, then limits by how far they reach into the market."""
    if limit is None:
        return (False, Decimal(0))
    return (True, (bar.open - limit) * sign)
