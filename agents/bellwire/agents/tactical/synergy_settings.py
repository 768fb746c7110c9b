"""When three indicators make a synergy event."""

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class SynergySettings:
    """How close together signals must be, and for how long their event counts.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    enabled: bool = field(
        default=False,
        metadata=setting(
            unit="", why="the bundled networks were trained without, and only the rule vote asks"
        ),
    )
    window_bars: int = field(
        default=12,
        metadata=setting(
            unit="bars from the first signal to the last, both counted",
            why="half a day of hourly bars: signals further apart answer different moves",
            ge=1,
            le=1_000,
        ),
    )
    lasts_bars: int = field(
        default=12,
        metadata=setting(
            unit="bars an event is under way, its own counted",
            why="as long as its signals may be apart",
            ge=1,
            le=1_000,
        ),
    )
    neighbours_min: float = field(
        default=0.6,
        metadata=setting(
            unit="mean of the signs after the five most alike bars",
            why="four went one way and one the other, or three and none; three against two are hardly more than a coin",
            gt=0.0,
            le=1.0,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
