"""How a repository of models behaves."""

from dataclasses import dataclass, field
from typing import Final

from bellwire.agents.inference.repository.version_policy import parse_policy
from bellwire.wire.settings import SettingsError, check_settings, setting

WARM_BATCHES_MAX: Final = 16  # sizes


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """Which versions are loaded, how many, and how they are warmed up.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    versions: str = field(
        default="latest:1",
        metadata=setting(
            unit="",
            why='one version serves; "latest:2", "all" and "1,3" are the others. A rollout\'s two are added',
        ),
    )
    models_loaded_max: int = field(
        default=16,
        metadata=setting(
            unit="versions",
            why="bounds memory. REFUSE: what serves goes on, and what comes is reported and waits;"
            " leave room for one more than serve, as a new version is loaded beside the old",
            ge=2,
            le=1_000,
        ),
    )
    warm_batches: tuple[int, ...] = field(
        default=(),
        metadata=setting(
            unit="rows", why="none: one row, and the model's batch_max; else these sizes"
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        section = type(self).__name__
        try:
            parse_policy(self.versions)
        except ValueError:
            expected = '"latest:N", "all", or numbers with commas'
            raise SettingsError(section, "versions", self.versions, expected) from None
        if len(self.warm_batches) > WARM_BATCHES_MAX or any(size < 1 for size in self.warm_batches):
            expected = f"up to {WARM_BATCHES_MAX} sizes of 1 or more"
            raise SettingsError(section, "warm_batches", self.warm_batches, expected)
