"""The time between bars: which interval they have, and where bars are missing."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Final, NamedTuple

from bellwire.agents.bars.bar import NANOS_PER_SECOND, GapReport
from bellwire.agents.bars.errors import OhlcvFileError, OhlcvProblem
from bellwire.agents.bars.interval import IntervalError, interval_name

_DAY_SECONDS: Final = 86_400
_CLOCK_CHANGE_NANOS: Final = 3_600 * NANOS_PER_SECOND  # a local day has 23 to 25 hours


class BarTime(NamedTuple):
    """When one bar opened and where the file says so."""

    line: int
    open_time_unix_nano: int


def usual_step_seconds(path: Path, times: Sequence[BarTime]) -> int:
    """Return the median step between neighbours; `times` holds at least two.

    Raises:
        OhlcvFileError: no interval has that length.
    """
    step = median_low(
        later.open_time_unix_nano - earlier.open_time_unix_nano
        for earlier, later in pairwise(times)
    )
    seconds, rest = divmod(step, NANOS_PER_SECOND)
    try:
        interval_name(seconds if rest == 0 else 0)
    except IntervalError as error:
        raise OhlcvFileError(
            OhlcvProblem.INTERVAL,
            path,
            "the median step between bars is no interval from 1s to 1w in whole seconds",
            "give bars of a fixed length, or name their interval",
            found=f"{step / NANOS_PER_SECOND:g} s",
        ) from error
    return seconds


def check_steps(
    path: Path, times: Sequence[BarTime], interval_seconds: int, *, strict_gaps: bool
) -> GapReport:
    """Return where bars are missing.

    Raises:
        OhlcvFileError: two bars overlap, or one is missing and `strict_gaps` is set.
    """
    interval = interval_seconds * NANOS_PER_SECOND
    slack = _CLOCK_CHANGE_NANOS if interval_seconds >= _DAY_SECONDS else 0
    count, largest, first_at = 0, 0, None
    for earlier, later in pairwise(times):
        step = later.open_time_unix_nano - earlier.open_time_unix_nano
        if step < interval - slack:
            raise _overlap(path, later.line, step, interval_seconds)
        if step <= interval + slack:
            continue
        if strict_gaps:
            raise _gap(path, later.line, step, interval_seconds)
        count += 1
        largest = max(largest, step - interval)
        if first_at is None:
            first_at = earlier.open_time_unix_nano + interval
    return GapReport(count, largest // NANOS_PER_SECOND, first_at)


def _overlap(path: Path, line: int, step: int, interval_seconds: int) -> OhlcvFileError:
    return OhlcvFileError(
        OhlcvProblem.OVERLAP,
        path,
        f"the bar opens {step / NANOS_PER_SECOND:g} s after the one before it, "
        f"but bars last {interval_name(interval_seconds)}",
        "name the right interval, or drop the bar",
        line=line,
    )


def _gap(path: Path, line: int, step: int, interval_seconds: int) -> OhlcvFileError:
    return OhlcvFileError(
        OhlcvProblem.GAP,
        path,
        f"the bar opens {step / NANOS_PER_SECOND:g} s after the one before it, "
        f"so bars of {interval_name(interval_seconds)} are missing",
        "add them, or allow gaps (markets that close leave some)",
        line=line,
    )
