"""How a server of models behaves."""

from dataclasses import dataclass, field, replace
from typing import Final

from bellwire.agents.inference.batching import BatchSettings
from bellwire.agents.inference.engines import EngineSettings
from bellwire.agents.inference.guard import GuardSettings
from bellwire.agents.inference.model_server.chain_plan import (
    ChainPlan,
    ChainPlanError,
    parse_chain,
)
from bellwire.agents.inference.repository import RepositorySettings
from bellwire.agents.inference.result_cache_settings import ResultCacheSettings
from bellwire.agents.inference.rollout import ShadowSettings
from bellwire.agents.inference.rollout.rollout_endpoint import CANDIDATE_SHARE
from bellwire.wire.settings import SettingsError, check_settings, setting

CANDIDATE_SECONDS_MAX: Final = 600.0  # What a guard may have.


@dataclass(frozen=True, slots=True)
class ModelServerSettings:
    """Bounds of a server and of its parts.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    refresh_seconds: float = field(
        default=2.0,
        metadata=setting(
            unit="s",
            why="a step of a rollout is felt while its author still looks; one look costs some file stats."
            " One look at a time: a load that takes longer makes the next look late (SKIP)",
            ge=0.05,
            le=3_600,
        ),
    )
    chains: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            unit="",
            why='none: a model that fails, fails. "tactical=tactical,tactical:parent,hold" has steps to fall back on',
        ),
    )
    batch: BatchSettings = field(
        default=BatchSettings(run_on="thread"),
        metadata=setting(
            unit="",
            why="on a thread: a folder may hold a model that is slow or hangs, and leases must be kept meanwhile",
        ),
    )
    guard: GuardSettings = field(
        default=GuardSettings(), metadata=setting(unit="", why="of each step of a chain")
    )
    cache: ResultCacheSettings = field(
        default=ResultCacheSettings(), metadata=setting(unit="", why="as everywhere")
    )
    repository: RepositorySettings = field(
        default=RepositorySettings(warm_batches=(1, BatchSettings().batch_rows_max)),
        metadata=setting(
            unit="",
            why="warm at the sizes that batches have; at 4,096 rows the bundled tactical model keeps 13 MB more",
        ),
    )
    engine: EngineSettings = field(
        default=EngineSettings(), metadata=setting(unit="", why="as everywhere")
    )
    experiment_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s",
            why="between writes of an A/B experiment's sums: as much a kill may cost; one is two syncs of a disk",
            ge=0.05,
            le=3_600,
        ),
    )
    shadow: ShadowSettings = field(
        default=ShadowSettings(), metadata=setting(unit="", why="as everywhere")
    )

    def __post_init__(self) -> None:
        check_settings(self)
        names = [plan.name for plan in self.plans()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            expected = f"one chain for each name, and {twice!r} has {names.count(twice)}"
            raise SettingsError(type(self).__name__, "chains", ", ".join(self.chains), expected)

    def candidate_guard(self, model: str) -> GuardSettings:
        """Return the bounds of a model's candidate: half the time of whoever waits, a chain's step or the batcher."""
        is_step = any(model in plan.models for plan in self.plans())
        seconds = self.guard.timeout_seconds if is_step else self.batch.compute_seconds_max
        limit = min(seconds * CANDIDATE_SHARE, CANDIDATE_SECONDS_MAX)
        return replace(self.guard, timeout_seconds=limit)

    def plans(self) -> tuple[ChainPlan, ...]:
        """Return the chains as they were meant.

        Raises:
            SettingsError: One of them is none.
        """
        try:
            return tuple(parse_chain(text) for text in self.chains)
        except ChainPlanError as error:
            section = type(self).__name__
            raise SettingsError(section, "chains", error.text, error.expected) from None
