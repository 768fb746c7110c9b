"""How the paper venue trades: its assumptions, each with the reason it is this pessimistic."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bellwire.wire.settings import check_settings, setting

BPS: Final = Decimal(10_000)  # basis points in one
_QUANTITY_MAX: Final = 10**15  # a thousand times below what the order path can carry
_STEP_MIN: Final = 1e-12  # finer than any market trades


@dataclass(frozen=True, slots=True)
class PaperSettings:
    """Assumptions of the paper venue; one set for every instrument it trades.

    Bars show neither a book nor who came first, so the venue assumes little: nothing trades in the bar
    that was known when an order came, everything pays the spread, and orders get a small part of the
    volume. It has no market impact: that part must stay small for bar prices to remain true.
    """

    spread_bps: Decimal = field(
        default=Decimal(1),
        metadata=setting(
            unit="bps of the price, bid to ask",
            why="an assumption: about one pip on EUR/USD; the bundled series is ask only and "
            "is taken as the middle, since its bid side is not known",
            ge=0,
            le=1_000,
        ),
    )
    participation: Decimal = field(
        default=Decimal("0.001"),
        metadata=setting(
            unit="share of a bar's volume, all orders together",
            why="the unit of the bundled volume is not stated and much of it cannot be reached by "
            "one trader; a thousandth is assumed to leave prices as they were",
            gt=0,
            le=1,
        ),
    )
    commission_bps: Decimal = field(
        default=Decimal("0.2"),
        metadata=setting(
            unit="bps of the traded value",
            why="an assumption: 20 dollars a million, so that turning over costs something",
            ge=0,
            le=1_000,
        ),
    )
    order_life_bars: int = field(
        default=24,
        metadata=setting(
            unit="bars an order may work, whatever its time in force",
            why="a day of hourly bars; bounds what a forgotten good-till-cancel order does",
            ge=1,
            le=100_000,
        ),
    )
    quantity_step: Decimal = field(
        default=Decimal(1),
        metadata=setting(unit="units", why="whole euros or shares", ge=_STEP_MIN, le=_QUANTITY_MAX),
    )
    price_tick: Decimal = field(
        default=Decimal("0.00001"),
        metadata=setting(
            unit="quote currency",
            why="a tenth of a pip, the last digit of the bundled EUR/USD series; prices are rounded "
            "against the order",
            ge=_STEP_MIN,
            le=1_000_000,
        ),
    )
    symbols: tuple[str, ...] = field(
        default=(),
        metadata=setting(unit="", why="every symbol whose bars arrive; name some to refuse others"),
    )
    open_orders_max: int = field(
        default=1_000,
        metadata=setting(
            unit="orders", why="bounds memory and work per bar; more are rejected", ge=1, le=100_000
        ),
    )
    ended_orders_kept_max: int = field(
        default=10_000,
        metadata=setting(
            unit="order ids",
            why="about 250 bytes each; redeliveries come within a window, thousands of messages at most",
            ge=1,
            le=1_000_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def half_spread(self) -> Decimal:
        """Half the spread as a share of the price."""
        return self.spread_bps / BPS / 2
