"""Settings of the agent that trades on a model."""

from dataclasses import dataclass, field
from decimal import Decimal

from bellwire.agents.drift.settings import DriftSettings
from bellwire.agents.features.fvg import (
    LOOKBACK_BARS_DEFAULT,
    LOOKBACK_BARS_MAX,
    LOOKBACK_BARS_MIN,
)
from bellwire.agents.tactical.aggregate import AggregationSettings
from bellwire.agents.tactical.rules import RulesSettings
from bellwire.agents.tactical.synergy_settings import SynergySettings
from bellwire.risk.limits import RiskLimits
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class TacticalAgentSettings:
    """Topics, model and sizes of one tactical agent."""

    bars_topic: str = field(
        default="bars.1h", metadata=setting(unit="", why="the interval of the bundled EUR/USD bars")
    )
    signals_topic: str = field(
        default="signals.tactical", metadata=setting(unit="", why="all tactical agents share it")
    )
    strategy: str = field(
        default="tactical",
        metadata=setting(unit="", why="the interval of the bars is added: tactical-1h"),
    )
    model_dir: str = field(
        default="",
        metadata=setting(unit="", why="folder with model.json and its file; empty = the bundled"),
    )
    fallback: str = field(
        default="rules",
        metadata=setting(
            unit="",
            why="who decides without an answer of the model; hold keeps the position as it is",
            choices=("rules", "hold"),
        ),
    )
    infer_seconds_max: float = field(
        default=1.0,
        metadata=setting(
            unit="s",
            why="ten thousand times what it takes: only an engine that hangs is given up",
            gt=0.0,
            le=60.0,
        ),
    )
    base_qty: Decimal = field(
        default=RiskLimits().base_qty,
        metadata=setting(
            unit="units of the instrument in a whole position",
            why="the base quantity of the default limits",
            gt=0,
            le=10**15,
        ),
    )
    quantity_step: Decimal = field(
        default=Decimal(1),
        metadata=setting(unit="units", why="whole euros or shares", ge=1e-12, le=10**15),
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
            why="as the features the model was trained on",
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
    aggregation: AggregationSettings = field(default_factory=AggregationSettings)
    rules: RulesSettings = field(default_factory=RulesSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    synergy: SynergySettings = field(default_factory=SynergySettings)

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            SettingsError: naming the field and its range.
        """
        check_settings(self)
