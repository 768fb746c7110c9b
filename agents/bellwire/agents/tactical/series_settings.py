"""Settings of every agent that decides bar by bar, whatever it decides with."""

from dataclasses import dataclass, field

from bellwire.agents.features.fvg import (
    LOOKBACK_BARS_DEFAULT,
    LOOKBACK_BARS_MAX,
    LOOKBACK_BARS_MIN,
)
from bellwire.agents.tactical.rules import RulesSettings
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class SeriesSettings:
    """Topics, name and sizes.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    bars_topic: str = field(
        default="bars.1h", metadata=setting(unit="", why="the interval of the bundled EUR/USD bars")
    )
    signals_topic: str = field(
        default="signals.tactical", metadata=setting(unit="", why="all tactical agents share it")
    )
    strategy: str = field(
        default="",
        metadata=setting(unit="", why="each agent's own; the interval of the bars is added"),
    )
    valid_bars: int = field(
        default=1,
        metadata=setting(
            unit="bars a signal stays fresh", why="the next bar has its own opinion", ge=1, le=1_000
        ),
    )
    lookback_bars: int = field(
        default=LOOKBACK_BARS_DEFAULT,
        metadata=setting(
            unit="bars of the body mean",
            why="as the features, and as those that models were trained on",
            ge=LOOKBACK_BARS_MIN,
            le=LOOKBACK_BARS_MAX,
        ),
    )
    symbols_max: int = field(
        default=1_000,
        metadata=setting(
            unit="symbols, each interval of one counted",
            why="bounds memory against made-up names",
            ge=1,
            le=100_000,
        ),
    )
    recover_messages_max: int = field(
        default=10_000,
        metadata=setting(
            unit="bars of each partition, and signals of all together, read back after a restart",
            why="a thousand bars of ten symbols, after which the mean of the volume has forgotten how it"
            " began. Give a partition of more symbols more. 0 = begin without bars, and flat",
            ge=0,
            le=1_000_000,
        ),
    )
    rules: RulesSettings = field(default_factory=RulesSettings)

    def __post_init__(self) -> None:
        check_settings(self)
