"""Settings of tracing."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How many messages are traced and where their spans go; plain values, to cross processes.

    Raises:
        SettingsError: A value is of the wrong type or out of its range.
    """

    sample_ratio: float = field(
        default=0.01,
        metadata=setting(
            unit="share",
            why="one message in a hundred shows where time goes and costs little; the demo takes 1",
            ge=0.0,
            le=1.0,
        ),
    )
    trace_dir: str = field(
        default="",
        metadata=setting(
            unit="",
            why="empty = no files; each process writes its own OTLP-JSON file into this folder",
        ),
    )
    otlp_endpoint: str = field(
        default="",
        metadata=setting(
            unit="URL",
            why="empty = no collector; OTLP/HTTP, /v1/traces is appended to a bare host",
        ),
    )

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        check_settings(self)

    @property
    def is_tracing(self) -> bool:
        """Whether spans go anywhere."""
        return bool(self.trace_dir or self.otlp_endpoint)
