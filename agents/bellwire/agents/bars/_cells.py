"""One CSV cell to one value; the reader adds where it stood."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from bellwire.agents.bars.bar import NANOS_PER_SECOND
from bellwire.agents.bars.errors import OhlcvProblem

_NUMBER: Final = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?")
_PLAIN: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_NUMBER_CHARS_MAX: Final = 64  # characters; more is noise and costs time to parse
_EXPONENT_MAX: Final = 30  # powers of ten; keeps `1e999` from becoming a line of zeros

_WHOLE: Final = re.compile(r"([0-9]{1,20})(?:\.0*)?")
_EPOCH_SECONDS_MIN: Final = 100_000_000  # 1973; smaller is 20170101 or a row number, not a time
_EPOCH_MILLIS_MIN: Final = 100_000_000_000  # 1973 in ms, the year 5138 in s: no overlap
_EPOCH_MILLIS_MAX: Final = 100_000_000_000_000  # above are micro- or nanoseconds
_NANOS_PER_MILLI: Final = 1_000_000
_TIME_NANOS_MAX: Final = 2**63 - 1  # 2262: what a signed 64-bit nanosecond clock holds
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_TIME_ADVICE: Final = (
    "write ISO 8601 like 2017-01-01T22:00:00Z (UTC if no zone is given) "
    "or epoch seconds or milliseconds"
)


class CellError(Exception):
    """A cell cannot be used; turned into an `OhlcvFileError` by the reader."""

    def __init__(self, problem: OhlcvProblem, what: str, advice: str) -> None:
        super().__init__(what)
        self.problem = problem
        self.what = what
        self.advice = advice


class Number(NamedTuple):
    """A decimal as plain digits, and its exact value for comparing."""

    text: str
    value: Decimal


def parse_price(cell: str) -> Number:
    """Return a price; it must be above 0."""
    price = _parse_number(cell)
    if price.value <= 0:
        raise CellError(OhlcvProblem.NOT_POSITIVE, "not a price above 0", "drop or mend the row")
    return price


def parse_volume(cell: str) -> str:
    """Return a volume as a plain decimal string; it must not be negative."""
    volume = _parse_number(cell)
    if volume.value < 0:
        raise CellError(OhlcvProblem.NOT_POSITIVE, "a negative volume", "drop or mend the row")
    return volume.text


def _parse_number(cell: str) -> Number:
    """Return the digits of the source where they are plain, else expanded (`1e-5`, `.5`, `+1`)."""
    if len(cell) <= _NUMBER_CHARS_MAX and _PLAIN.fullmatch(cell):
        return Number(cell, Decimal(cell))
    match = _NUMBER.fullmatch(cell)
    exponent = int(match[3] or 0) if match else 0
    if match is None or len(cell) > _NUMBER_CHARS_MAX or abs(exponent) > _EXPONENT_MAX:
        what = "an empty cell" if not cell else "not a decimal number"
        raise CellError(
            OhlcvProblem.NOT_A_NUMBER,
            what,
            "write digits with a point, without thousands separators, or drop the row",
        )
    value = Decimal(cell)
    return Number(format(abs(value) if value == 0 else value, "f"), value)  # no minus zero


def parse_time(cell: str) -> int:
    """Return nanoseconds since 1970-01-01 UTC."""
    whole = _WHOLE.fullmatch(cell)
    nanos = _from_iso(cell) if whole is None else _from_epoch(int(whole[1]))
    if nanos is None or not 0 <= nanos <= _TIME_NANOS_MAX:
        raise CellError(OhlcvProblem.TIME_INVALID, "not a time", _TIME_ADVICE)
    return nanos


def _from_epoch(number: int) -> int | None:
    if _EPOCH_SECONDS_MIN <= number < _EPOCH_MILLIS_MIN:
        return number * NANOS_PER_SECOND
    if _EPOCH_MILLIS_MIN <= number < _EPOCH_MILLIS_MAX:
        return number * _NANOS_PER_MILLI
    return None


def _from_iso(cell: str) -> int | None:
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Whole microseconds: a float of seconds since 1970 would lose the last digits.
    return (moment - _EPOCH) // _MICROSECOND * 1_000
