"""Decimals as text on the order path: exact both ways, and never a float in between."""

import re
from decimal import Context, Decimal
from typing import Final

CHARACTERS_MAX: Final = 64  # a double written out in full has fewer
MAGNITUDE_MAX: Final = Decimal(10) ** 18  # more than any market trades; bounds every product
_PLAIN: Final = re.compile(r"[+-]?(?=[0-9.])[0-9]*(?:\.[0-9]*)?", re.ASCII)
_DIVISION: Final = Context(prec=18)  # a digit more than a double: finer than any venue's prices
WIDE: Final = Context(prec=80)
"""Context in which no operation on numbers below the bound can run out of digits."""

ZERO: Final = Decimal(0)


def parse_decimal(text: str) -> Decimal | None:
    """Return the number, or None when the text is no plain decimal below 10^18 in magnitude.

    Exponents, NaN, infinities, spaces and underscores are refused: what `Decimal` would also take
    is not what the contract allows.
    """
    if not 0 < len(text) <= CHARACTERS_MAX or _PLAIN.fullmatch(text) is None:
        return None
    if not any(character.isdigit() for character in text):
        return None
    number = Decimal(text)
    return number if abs(number) < MAGNITUDE_MAX else None


def decimal_text(number: Decimal) -> str:
    """Return the shortest plain text of a finite number: `5000000`, never `5E+6` or `1.50`."""
    if not number:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Return the quotient to 18 digits, whatever precision the thread has set."""
    return _DIVISION.divide(dividend, divisor)


def round_down(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `quantity`; both at least 0."""
    return quantity - WIDE.remainder(quantity, step)


def is_multiple(quantity: Decimal, step: Decimal) -> bool:
    """Tell whether `quantity` is a whole number of steps."""
    return not WIDE.remainder(quantity, step)
