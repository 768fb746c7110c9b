"""What a cache of results may be told, with the reason of each default."""

from dataclasses import dataclass, field

from bellwire.policy.bounded_cache import CacheBounds
from bellwire.wire.settings import SettingsError, check_settings, setting


@dataclass(frozen=True, slots=True)
class ResultCacheSettings:
    """How much is kept, and for how long; policy when full: the least recently used go."""

    entries_max: int = field(
        default=100_000,
        metadata=setting(
            unit="results",
            why="a day of 5-minute bars of some 350 symbols",
            ge=1,
            le=10_000_000,
        ),
    )
    bytes_max: int = field(
        default=32 * 1024 * 1024,
        metadata=setting(
            unit="bytes",
            why="an agent process is to stay below 100 MB, and is half of that without a cache; some 25,000"
            " results of the tactical model",
            ge=4_096,
            le=1 << 40,
        ),
    )
    ttl_seconds: float = field(
        default=3_600.0,
        metadata=setting(
            unit="s", why="absolute: reading a result does not make it younger", gt=0, le=604_800
        ),
    )
    waiting_max: int = field(
        default=10_000,
        metadata=setting(
            unit="requests",
            why="as many as wait for results being computed; policy REFUSE",
            ge=1,
            le=1_000_000,
        ),
    )
    value_bytes_max: int = field(
        default=1024 * 1024,
        metadata=setting(
            unit="bytes",
            why="as large as a call may be; larger ones are not kept",
            ge=1,
            le=1 << 30,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.value_bytes_max > self.bytes_max:
            raise SettingsError(
                "ResultCacheSettings",
                "value_bytes_max",
                self.value_bytes_max,
                f"at most bytes_max, {self.bytes_max}",
            )

    @property
    def bounds(self) -> CacheBounds:
        """The same, as the cache takes it."""
        return CacheBounds(
            entries_max=self.entries_max,
            bytes_max=self.bytes_max,
            entry_bytes_max=self.value_bytes_max,
            ttl_seconds=self.ttl_seconds,
            negative_ttl_seconds=0,
        )
