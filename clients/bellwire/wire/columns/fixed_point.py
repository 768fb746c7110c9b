"""Decimals as integers and a scale: exact where float64 would round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bellwire.wire.columns.errors import ColumnInexactError, ColumnScaleError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCALE_MAX: Final = 18  # int64 holds 18 digits whatever they are.
_EXACT_MAX: Final = float(1 << 53)  # Above, float64 does not know every integer.


def check_scale(name: str, scale: object) -> None:
    """Refuse what is no number of decimal places.

    Raises:
        ColumnScaleError: Not an integer of 0..18.
    """
    if type(scale) is not int or not 0 <= scale <= SCALE_MAX:
        raise ColumnScaleError(name, scale, f"an integer from 0 to {SCALE_MAX}")


def from_floats(values: NDArray[np.float64], scale: int) -> NDArray[np.int64]:
    """Return the integers that stand for floats at a scale, exactly or not at all.

    A float passes when the integer divided by 10^scale gives it back bit for bit, that is when it is
    the float nearest to a decimal of that many places; the sign of zero is not kept.

    Args:
        values: One-dimensional.
        scale: Decimal places, 0..18.

    Raises:
        ColumnScaleError: The scale is not 0..18.
        ColumnInexactError: Naming the first value that is not finite, has more places, or is beyond
            2^53 units, where two decimals share one float.
    """
    import numpy as np

    check_scale("floats", scale)
    factor = 10.0**scale
    floats = np.asarray(values, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # Such values are refused just below.
        units = np.rint(floats * factor)
        bad = ~((np.abs(units) <= _EXACT_MAX) & (units / factor == floats))
    if bad.any():
        row = int(bad.argmax())
        raise ColumnInexactError(row, float(floats[row]), scale, _advice(float(units[row])))
    return units.astype(np.int64)


def to_floats(values: NDArray[np.int64], scale: int) -> NDArray[np.float64]:
    """Return integers of a scale as float64; exactly rounded up to 2^53 units."""
    return values / 10.0**scale


def _advice(units: float) -> str:
    if units != units or abs(units) == float("inf"):
        return "drop or mend the row"
    if abs(units) > _EXACT_MAX:
        return "give integers made from the source's digits"
    return "round it first, or take a larger scale"
