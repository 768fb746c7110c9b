"""How much is traded: decimals from the base quantity to whole steps of the venue."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from bellwire.risk.decimal_text import WIDE, divide

FULL_CONFIDENCE: Final = Decimal("0.8")  # trades the base quantity
FACTOR_MAX: Final = Decimal("1.25")  # what a confidence of 1 trades of it


def confidence_factor(confidence: float) -> Decimal:
    """Return min(confidence / 0.8, 1.25): how much of the base quantity a vote trades.

    Args:
        confidence: 0 to 1; what rounding puts above 1 counts as 1.
    """
    share = divide(Decimal(repr(max(0.0, confidence))), FULL_CONFIDENCE)
    return min(share, FACTOR_MAX)


def quantity_of(position: float, base: Decimal, step: Decimal, factor: Decimal) -> Decimal:
    """Return the quantity of a position in whole steps: |position| * base * factor, rounded half even.

    A position that is not 0 has at least one step: it never turns into an order for nothing.

    Args:
        position: -1 to 1.
        base: Of a whole position, in units of the instrument, > 0.
        step: Of the venue, > 0.
        factor: From `confidence_factor`, or 1.
    """
    if position == 0.0:
        return Decimal(0)
    whole = WIDE.multiply(WIDE.multiply(abs(Decimal(repr(position))), base), factor)
    steps = WIDE.divide(whole, step).quantize(Decimal(1), rounding=ROUND_HALF_EVEN, context=WIDE)
    return WIDE.multiply(max(steps, Decimal(1)), step)
