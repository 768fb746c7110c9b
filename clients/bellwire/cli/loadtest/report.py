"""What a load test has to say: one judged level after another, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.cli.loadtest.bottleneck import Bottleneck
from bellwire.cli.loadtest.result import LevelResult, level_json
from bellwire.cli.loadtest.soak import Growth, growth_json

__all__ = ["JudgedLevel", "Report"]


@dataclass(frozen=True, slots=True)
class JudgedLevel:
    """A level, what it missed, and why."""

    result: LevelResult
    missed: tuple[str, ...]
    bottleneck: Bottleneck
    growth: Growth | None = None
    """Of a soak."""

    @property
    def is_met(self) -> bool:
        """Tell whether every limit was kept."""
        return not self.missed and not (self.growth is not None and self.growth.grows)

    def to_json(self) -> dict[str, object]:
        """Return it for machines."""
        facts = level_json(self.result, self.missed, self.bottleneck)
        if self.growth is not None:
            facts |= growth_json(self.growth)
        return {"event": "level", "met": self.is_met, **facts}


@dataclass(slots=True)
class Report:
    """The run so far."""

    levels: list[JudgedLevel] = field(default_factory=list)
    interrupted: bool = False

    @property
    def is_met(self) -> bool:
        """Tell whether every level was met."""
        return bool(self.levels) and all(level.is_met for level in self.levels)

    @property
    def highest_tps_met(self) -> float | None:
        """Highest offered rate that was met; None when none was."""
        met = [level.result.offered_tps for level in self.levels if level.is_met]
        return max(met, default=None)

    def to_json(self) -> dict[str, object]:
        """Return the end of the run for machines."""
        return {
            "event": "end",
            "met": self.is_met,
            "interrupted": self.interrupted,
            "levels": len(self.levels),
            "levels_met": sum(level.is_met for level in self.levels),
            "tps_met_max": self.highest_tps_met,
        }
