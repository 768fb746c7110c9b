"""What a load test does, decided before the first process starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bellwire.cli.loadtest.limits import Limit
from bellwire.cli.loadtest.settings import LoadTestSettings
from bellwire.client import ClientSettings

__all__ = ["Level", "LoadPlan", "Recording"]


@dataclass(frozen=True, slots=True)
class Level:
    """One offered rate, for so long."""

    number: int
    tps: float
    """Messages per second offered, over all publishers; of a recording its mean."""
    seconds: float
    """Measured; the warm-up comes before."""
    total: int
    """Messages, those of the warm-up included."""
    warm_up_seconds: float
    rate: float = 1.0
    """Multiple of a recording's own pace."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded stream that takes the place of made messages."""

    path: Path
    messages: int
    """The first so many are played."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Everything a run needs to know."""

    levels: tuple[Level, ...]
    publishers: int
    subscribers: int
    payload_bytes: int
    ack_level: str
    """Name in the contract, for example ACK_LEVEL_RECEIVED."""
    overflow_policy: str
    """Name in the contract."""
    topic: str | None
    """None = one of its own, deleted afterwards."""
    partitions: int
    limits: tuple[Limit, ...]
    settings: LoadTestSettings
    client: ClientSettings
    server: str | None
    """Address of a coordinator; None = one of its own."""
    data: Path | None
    """Folder of its own coordinator's store; None = a temporary one, where one is needed."""
    recording: Recording | None
    is_soak: bool
    config: Path | None
    assignments: Sequence[str]

    @property
    def ack_word(self) -> str:
        """The acknowledgement level as the command line spells it."""
        return self.ack_level.removeprefix("ACK_LEVEL_").lower()

    @property
    def is_durable(self) -> bool:
        """Tell whether messages are stored, and read by durable cursors."""
        return self.ack_level == "ACK_LEVEL_PERSISTED"
