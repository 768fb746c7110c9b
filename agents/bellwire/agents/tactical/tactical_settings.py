"""Settings of the agent that trades on a model."""

from dataclasses import dataclass, field
from decimal import Decimal

from bellwire.agents.drift.settings import DriftSettings
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.tactical.aggregate import AggregationSettings
from bellwire.agents.tactical.series_settings import SeriesSettings
from bellwire.agents.tactical.synergy_settings import SynergySettings
from bellwire.risk.limits import RiskLimits
from bellwire.wire.settings import SettingsError, check_settings, setting


@dataclass(frozen=True, slots=True)
class TacticalAgentSettings(SeriesSettings):
    """Topics, model and sizes of one tactical agent.

    Raises:
        SettingsError: A value is of the wrong type or out of its range, or two say where the model is.
    """

    strategy: str = field(
        default="tactical",
        metadata=setting(unit="", why="the interval of the bars is added: tactical-1h"),
    )
    model_dir: str = field(
        default="",
        metadata=setting(
            unit="",
            why="folder of one version, with model.json and its file; empty = the bundled int8 version, or"
            " what `models` holds",
        ),
    )
    models: str = field(
        default="",
        metadata=setting(
            unit="",
            why="folder of models whose rollouts are followed while the agent runs, the one that"
            " `bellwire model serve` follows; empty = one version, kept until the next start",
        ),
    )
    model: str = field(
        default="tactical",
        metadata=setting(unit="", why="name in the folder `models`; as the trainer names it"),
    )
    infer_on: str = field(
        default="loop",
        metadata=setting(
            unit="",
            why="of `models`: the tactical model takes 20 µs, less than a thread costs, and an answer never comes"
            " too late on a busy machine; on a thread a model that hangs holds up no bar either",
            choices=("loop", "thread"),
        ),
    )
    guard: GuardSettings = field(
        default=GuardSettings(),
        metadata=setting(unit="", why="of each version asked, as in every chain"),
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
    aggregation: AggregationSettings = field(default_factory=AggregationSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    synergy: SynergySettings = field(default_factory=SynergySettings)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.models and self.model_dir:
            expected = "empty, as model_dir names a version"
            raise SettingsError(type(self).__name__, "models", self.models, expected)
