"""Settings of the agent that has a stance."""

from dataclasses import dataclass, field

from bellwire.agents.strategic.stance import StanceSettings
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class StrategicAgentSettings:
    """Topic, model and rule of one strategic agent.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    bars_topic: str = field(
        default="bars.1h", metadata=setting(unit="", why="the interval of the bundled EUR/USD bars")
    )
    model_dir: str = field(
        default="",
        metadata=setting(unit="", why="folder with model.json and its file; empty = the bundled"),
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
            unit="bars of each partition, read back after a restart",
            why="81 bars of 120 symbols. 0 = begin without bars",
            ge=0,
            le=1_000_000,
        ),
    )
    stance: StanceSettings = field(default_factory=StanceSettings)

    def __post_init__(self) -> None:
        check_settings(self)
