"""What an agent remembers of each series it follows: a symbol in one interval."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from bellwire.wire.errors import CapacityError


class TooManySymbolsError(CapacityError):
    """The agent follows as many series as it may."""

    reason = "RULES_SYMBOLS_EXCEEDED"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} symbols are followed, the limit, each interval of one counted; raise symbols_max "
            "or run another replica"
        )


class HasClose(Protocol):
    """The memory of one series."""

    newest_close: int
    """Of the newest bar seen, nanoseconds since 1970-01-01 UTC."""


_Series = TypeVar("_Series", bound=HasClose)


class Followed(Generic[_Series]):
    """Keeps series apart by symbol and interval: bars of two intervals make no common history."""

    def __init__(self, series_max: int, begin: Callable[[], _Series]) -> None:
        """Take how many series may be followed, and what makes the memory of a new one."""
        self._series_max = series_max
        self._begin = begin
        self._series: dict[tuple[str, str], _Series] = {}

    @property
    def symbols(self) -> list[str]:
        """All that are followed in any interval, sorted."""
        return sorted({symbol for symbol, _ in self._series})

    def of(self, symbol: str, interval: str) -> _Series:
        """Return the memory of a series, begun when it is new.

        Raises:
            TooManySymbolsError: it is new, and there is no room.
        """
        series = self._series.get((symbol, interval))
        if series is None:
            self._demand_room()
            series = self._series[symbol, interval] = self._begin()
        return series

    def adopt(self, symbol: str, interval: str, series: _Series) -> None:
        """Follow a series that was begun elsewhere, in place of what was known of it.

        Raises:
            TooManySymbolsError: It is new, and there is no room.
        """
        if (symbol, interval) not in self._series:
            self._demand_room()
        self._series[symbol, interval] = series

    def newest(self, symbol: str, interval: str = "") -> tuple[str, _Series] | None:
        """Return an interval of a symbol and its memory; None if it is not followed.

        Args:
            symbol: As in bars.
            interval: Empty = that whose newest bar closed last, of equal ones the one followed first.
        """
        found = [
            (each, series)
            for (name, each), series in self._series.items()
            if name == symbol and interval in ("", each)
        ]
        return max(found, key=lambda pair: pair[1].newest_close, default=None)

    def _demand_room(self) -> None:
        if len(self._series) >= self._series_max:
            raise TooManySymbolsError(self._series_max)
