"""Quantities that suit the data played, where the defaults suit hourly EUR/USD."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Final

from bellwire.agents.bars import BarSeries, read_ohlcv
from bellwire.agents.data.series import EURUSD_1H
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.risk.limits import RiskLimits

__all__ = ["quantity_step_for", "scaled_limits", "scaled_paper"]

POLICY_VERSION: Final = "limits-scaled-to-data"
WHOLE_UNIT: Final = Decimal(1)
STEP_DIGITS: Final = -3  # a thousandth of a base quantity below one unit, as of a coin
STEP_DIGITS_MIN: Final = -12  # the finest step the limits take


def scaled_limits(series: BarSeries, limits: RiskLimits) -> RiskLimits:
    """Return the limits with quantities in proportion to the volume of the bars.

    The proportions are those of `limits` to the bundled EUR/USD series, for which they were made. A
    series without volume keeps them as they are: nothing can be filled there anyway.
    """
    usual = read_ohlcv(EURUSD_1H.path, symbol=EURUSD_1H.symbol, interval=EURUSD_1H.interval)
    factor = _mean_volume(series) / _mean_volume(usual)
    if factor <= 0:
        return limits
    base = _one_digit(limits.base_qty * factor)
    ratio = base / limits.base_qty
    order_max = limits.order_qty_max * ratio
    price = max(Decimal(bar.high) for bar in series.bars)
    return dataclasses.replace(
        limits,
        policy_version=POLICY_VERSION,
        base_qty=base,
        quantity_step=quantity_step_for(base),
        order_qty_max=order_max,
        position_qty_max=limits.position_qty_max * ratio,
        order_notional_max=_one_digit(order_max * price) * 2,
    )


def scaled_paper(limits: RiskLimits, paper: PaperSettings) -> PaperSettings:
    """Return the venue's settings with the step of the quantities that will be ordered."""
    return dataclasses.replace(paper, quantity_step=limits.quantity_step)


def quantity_step_for(base: Decimal) -> Decimal:
    """Return whole units, or for a small base quantity a thousandth of its first digit."""
    if base >= WHOLE_UNIT:
        return WHOLE_UNIT
    return Decimal(1).scaleb(max(STEP_DIGITS_MIN, base.adjusted() + STEP_DIGITS))


def _mean_volume(series: BarSeries) -> Decimal:
    return sum((Decimal(bar.volume) for bar in series.bars), Decimal(0)) / len(series.bars)


def _one_digit(value: Decimal) -> Decimal:
    """Round down to one significant digit, so that people can read it; never to zero."""
    unit = Decimal(1).scaleb(value.adjusted())
    return value // unit * unit
