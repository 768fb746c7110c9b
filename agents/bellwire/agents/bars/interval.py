"""Names of bar lengths: `30s`, `5m`, `1h`, `1d`, `1w`."""

import re
from functools import lru_cache
from typing import Final

from bellwire.wire.errors import CallerError

_UNIT_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}  # longest first
_NAME: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
INTERVAL_SECONDS_MAX: Final = 604_800  # a week; months differ in length, so they have no interval


class IntervalError(CallerError):
    """A bar length that has no name, or a name that is no bar length."""

    reason = "INTERVAL_INVALID"

    def __init__(self, found: str | int) -> None:
        self.found = found
        """The name, or the length in seconds."""
        what = f"{found} seconds" if isinstance(found, int) else repr(found)
        super().__init__(
            f"bar interval {what} is not supported; use a whole number and s, m, h, d or w, "
            "from 1s to 1w, like 5m, 1h or 1d"
        )


@lru_cache(maxsize=64)  # a process sees a handful of names
def interval_seconds(interval: str) -> int:
    """Return the length of a named interval.

    Raises:
        IntervalError: the name is unknown or longer than a week.
    """
    match = _NAME.fullmatch(interval)
    if match is None:
        raise IntervalError(interval)
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > INTERVAL_SECONDS_MAX:
        raise IntervalError(interval)
    return seconds


def interval_name(seconds: int) -> str:
    """Return the shortest name of a length: 3600 is `1h`, 5400 is `90m`.

    Raises:
        IntervalError: the length is not 1 second to a week.
    """
    if not 1 <= seconds <= INTERVAL_SECONDS_MAX:
        raise IntervalError(seconds)
    unit = next(name for name, length in _UNIT_SECONDS.items() if seconds % length == 0)
    return f"{seconds // _UNIT_SECONDS[unit]}{unit}"
