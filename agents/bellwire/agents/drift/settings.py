"""How much is looked at, and what counts as drift."""

from dataclasses import dataclass, field
from typing import Final

from bellwire.wire.settings import SettingsError, check_settings, setting

WINDOW_BARS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """Of one monitor; a symbol has one of its own."""

    window_bars: int = field(
        default=480,
        metadata=setting(
            unit="bars",
            why="a month of hourly bars: long enough to tell, short enough to notice; older ones are forgotten",
            ge=50,
            le=WINDOW_BARS_MAX,
        ),
    )
    bars_min: int = field(
        default=240,
        metadata=setting(
            unit="bars",
            why="with fewer, a tenth of the distribution is 24 bars of two or three zones",
            ge=50,
            le=WINDOW_BARS_MAX,
        ),
    )
    look_bars: int = field(
        default=24,
        metadata=setting(
            unit="bars",
            why="a day of hourly bars; each look is another chance of a false alarm",
            ge=1,
            le=WINDOW_BARS_MAX,
        ),
    )
    false_alarms: float = field(
        default=0.001,
        metadata=setting(
            unit="share of looks",
            why="all columns together: at a look a day, one in four years of independent looks",
            ge=1e-6,
            le=0.5,
        ),
    )
    psi_min: float = field(
        default=0.1,
        metadata=setting(
            unit="PSI",
            why="below 0.1 a change is usually called small (Siddiqi 2006), however certain it is",
            ge=0.0,
            le=10.0,
        ),
    )

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)
        if self.bars_min > self.window_bars:
            expected = f"at most window_bars ({self.window_bars})"
            raise SettingsError(type(self).__name__, "bars_min", self.bars_min, expected)
