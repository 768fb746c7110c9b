"""Settings of `bellwire loadtest` that hardly anybody changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting

__all__ = ["LoadTestSettings"]


@dataclass(frozen=True, slots=True)
class LoadTestSettings:
    """How a load is measured and when a verdict is passed."""

    warm_up_seconds: float = field(
        default=1.0,
        metadata=setting(
            unit="s",
            why="Before each level, at its rate: connections and caches are no part of a latency; "
            "losses count all the same",
            ge=0,
            le=600,
        ),
    )
    interval_seconds: float = field(
        default=1.0,
        metadata=setting(
            unit="s", why="Between two looks at the coordinator; each costs it 1 ms", gt=0, le=60
        ),
    )
    soak_interval_seconds: float = field(
        default=10.0,
        metadata=setting(
            unit="s", why="Between two lines of a soak: 180 in half an hour", gt=0, le=3600
        ),
    )
    quiet_seconds: float = field(
        default=2.0,
        metadata=setting(
            unit="s",
            why="Silence after which what has not come counts as lost; above the client's longest "
            "wait between two reconnects",
            gt=0,
            le=600,
        ),
    )
    overrun_factor: float = field(
        default=1.5,
        metadata=setting(
            unit="",
            why="A saturated level ends after so many times its planned length; the rest is unsent",
            ge=1,
            le=10,
        ),
    )
    saturated_share: float = field(
        default=0.9,
        metadata=setting(
            unit="",
            why="Of a core, or of the time for the disk: a single event loop that busy queues",
            gt=0,
            le=1,
        ),
    )
    replay_messages_max: int = field(
        default=1_000_000,
        metadata=setting(
            unit="messages",
            why="A recording is held in memory, about 1 kB a message",
            ge=1,
            le=100_000_000,
        ),
    )
    rss_slope_mb_per_hour_max: float = field(
        default=5.0,
        metadata=setting(
            unit="MB/h",
            why="Growth of the coordinator that a soak lets pass: 120 MB in a day",
            ge=0,
            le=1_000_000,
        ),
    )
    rss_slope_standard_errors: float = field(
        default=3.0,
        metadata=setting(
            unit="",
            why="So many above the limit are no accident: one alarm in 700 soaks of a steady process",
            ge=0,
            le=100,
        ),
    )
    rss_rise_mb_min: float = field(
        default=2.0,
        metadata=setting(
            unit="MB",
            why="Growth of less within the whole soak is what an allocator rounds to: 5 MB/h need 24 minutes",
            ge=0,
            le=1_000_000,
        ),
    )
    soak_warm_up_share: float = field(
        default=0.2,
        metadata=setting(
            unit="",
            why="The first part of a soak is left out of the slope: the retention of the topic fills",
            ge=0,
            le=0.9,
        ),
    )
    soak_samples_min: int = field(
        default=30,
        metadata=setting(
            unit="samples",
            why="With fewer the standard error means nothing and no verdict is passed",
            ge=3,
            le=1_000_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
