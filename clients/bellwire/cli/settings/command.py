"""Settings of the `bellwire` command itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.wire.settings import check_settings, setting

__all__ = ["CommandSettings"]


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What the verbs that talk to a coordinator need besides the client's own settings."""

    address: str = field(
        default="127.0.0.1:7400",
        metadata=setting(
            unit="",
            why="where `bellwire serve` listens unless told otherwise; loopback only",
        ),
    )
    call_timeout_seconds: float = field(
        default=5.0,
        metadata=setting(
            unit="s",
            why="the default deadline of a call on the bus; a person waits no longer",
            gt=0,
            le=3600,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
