"""What the risk gateway allows."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bellwire.wire.settings import SettingsError, check_settings, setting

NANOS_PER_SECOND: Final = 1_000_000_000
_QUANTITY_MAX: Final = 10**15  # a thousand times below what the order path can carry
_STEP_MIN: Final = 1e-12  # finer than any market trades


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of one gateway; the same for every instrument it sees.

    Quantities are in units of the instrument (EUR of EUR/USD, shares of an equity), notionals in its
    quote currency. The defaults suit hourly EUR/USD bars; another market needs its own.
    """

    policy_version: str = field(
        default="limits-1",
        metadata=setting(unit="", why="named in each decision; change it with the limits"),
    )
    base_qty: Decimal = field(
        default=Decimal(10_000_000),
        metadata=setting(
            unit="units",
            why="ordered when a signal names no quantity; about a thousandth of two hours' volume in "
            "the bundled EUR/USD series, so that fills are often partial",
            gt=0,
            le=_QUANTITY_MAX,
        ),
    )
    quantity_step: Decimal = field(
        default=Decimal(1),
        metadata=setting(unit="units", why="whole euros or shares", ge=_STEP_MIN, le=_QUANTITY_MAX),
    )
    order_qty_max: Decimal = field(
        default=Decimal(20_000_000),
        metadata=setting(
            unit="units", why="twice the base quantity: more is a slip", gt=0, le=_QUANTITY_MAX
        ),
    )
    order_notional_max: Decimal = field(
        default=Decimal(30_000_000),
        metadata=setting(
            unit="quote currency",
            why="the largest order at 1.5 dollars per euro; the bundled series stays below 1.21",
            gt=0,
            le=_QUANTITY_MAX,
        ),
    )
    position_qty_max: Decimal = field(
        default=Decimal(24_000_000),
        metadata=setting(
            unit="units, long or short, per account and instrument",
            why="two base orders fit whole and a third is cut: the limit is seen to work",
            gt=0,
            le=_QUANTITY_MAX,
        ),
    )
    signal_age_seconds_max: float = field(
        default=3_600.0,
        metadata=setting(
            unit="s of event time",
            why="one hourly bar: an older signal speaks of a market that has moved on",
            gt=0,
            le=31_536_000,
        ),
    )
    orders_per_hour: int = field(
        default=60,
        metadata=setting(
            unit="orders per hour of event time and strategy",
            why="one a minute is far above what a bar strategy needs and stops a runaway",
            ge=1,
            le=3_600_000,
        ),
    )
    orders_burst: int = field(
        default=10,
        metadata=setting(
            unit="orders at one instant per strategy",
            why="room for the legs of a few instruments that signal on the same bar",
            ge=1,
            le=10_000,
        ),
    )
    open_orders_max: int = field(
        default=100,
        metadata=setting(
            unit="orders",
            why="bounds memory and what a stuck venue can pile up; further ones are denied",
            ge=1,
            le=100_000,
        ),
    )
    decisions_kept_max: int = field(
        default=20_000,
        metadata=setting(
            unit="decisions",
            why="about 1 KB each; a duplicate of a forgotten one is denied by its event time",
            ge=1,
            le=1_000_000,
        ),
    )
    exec_ids_kept_max: int = field(
        default=50_000,
        metadata=setting(
            unit="exec ids",
            why="about 270 bytes each; redeliveries come within a window, thousands of messages at most",
            ge=1,
            le=1_000_000,
        ),
    )
    accounts_max: int = field(
        default=10_000,
        metadata=setting(
            unit="positions (account, strategy, instrument) and rate buckets",
            why="bounds memory against names made up by a faulty agent; further ones are denied",
            ge=1,
            le=1_000_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.base_qty > self.order_qty_max:
            raise SettingsError(
                type(self).__name__,
                "base_qty",
                self.base_qty,
                f"at most order_qty_max = {self.order_qty_max}",
            )

    @property
    def signal_age_nanos_max(self) -> int:
        """Longest age of a signal, nanoseconds."""
        return round(self.signal_age_seconds_max * NANOS_PER_SECOND)

    @property
    def order_interval_nanos(self) -> int:
        """Event time after which the rate allows one more order, nanoseconds."""
        return 3_600 * NANOS_PER_SECOND // self.orders_per_hour
