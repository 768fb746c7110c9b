"""What a demo runs: the coordinator, the agents, their topics and settings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agents.tactical import RulesSettings
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.cli.demo.market_data import MarketData
from bellwire.cli.demo.run_directory import RunDirectory
from bellwire.cli.settings import SettingsTree
from bellwire.client import ClientSettings
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.risk.limits import RiskLimits
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.spec import AgentSpec, ChildContext, ProcessSpec, SupervisorSettings
from bellwire.telemetry import TelemetrySettings

__all__ = ["DemoOptions", "DemoPlan"]

COORDINATOR: Final = "coordinator"
SAMPLE_EVERYTHING: Final = 1.0
SIGNALS: Final = "signals.tactical"
DECISIONS: Final = "risk.decisions"
ORDERS: Final = "orders.paper"
EXECUTIONS: Final = "executions.paper"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The flags of `bellwire demo`."""

    lockstep: bool
    seed: int
    config: Path | None
    assignments: Sequence[str]


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Everything that is decided before the first process starts."""

    data: MarketData
    run: RunDirectory
    options: DemoOptions
    settings: SettingsTree

    @property
    def bars_topic(self) -> str:
        """Topic of the bars; its name carries the interval."""
        return f"bars.{self.data.interval}"

    def topics(self) -> list[Topic]:
        """Return the topics, made before any agent starts; publishers wait, nothing is dropped."""
        names = (self.bars_topic, SIGNALS, DECISIONS, ORDERS, EXECUTIONS)
        return [
            Topic(name=name, partition_count=1, overflow_policy=OVERFLOW_POLICY_BLOCK)
            for name in names
        ]

    def supervisor(self) -> SupervisorSettings:
        """Return how processes are kept: one that dies ends the run, since its state is gone."""
        kept = self.settings.of(SupervisorSettings)
        return dataclasses.replace(kept, restarts_max=0, log_dir=str(self.run.logs))

    def coordinator(self) -> ProcessSpec:
        """Return the coordinator's process: `bellwire serve` as anybody would start it."""
        overrides = [
            *self.options.assignments,
            f"telemetry.trace_dir={self.run.traces}",
            f"telemetry.sample_ratio={SAMPLE_EVERYTHING}",
        ]
        config = ["--config", str(self.options.config)] if self.options.config else []
        return ProcessSpec(
            name=COORDINATOR,
            argv=(
                sys.executable,
                "-m",
                "bellwire.cli",
                "serve",
                *("--listen", self.run.address, "--ready-file", str(self.run.ready_file), "--json"),
                *config,
                *(part for override in overrides for part in ("--set", override)),
            ),
            ready_file=str(self.run.ready_file),
        )

    def shared(self) -> ChildContext:
        """Return what all agent processes share."""
        telemetry = dataclasses.replace(
            self.settings.of(TelemetrySettings),
            trace_dir=str(self.run.traces),
            sample_ratio=SAMPLE_EVERYTHING,
        )
        return ChildContext(
            address=self.run.address,
            client=self.settings.of(ClientSettings),
            telemetry=telemetry,
        )

    def traders(self) -> list[AgentSpec]:
        """Return the agents that wait for bars."""
        run = self.settings.of(RunSettings)
        common: dict[str, object] = {"bars_topic": self.bars_topic}
        return [
            AgentSpec(
                "bellwire.agents.tactical.agent:RulesAgent",
                settings={**common, **_plain(self.settings.of(RulesSettings))},
                run=run,
                name="rules",
            ),
            AgentSpec(
                "bellwire.risk.agent:RiskAgent",
                settings={
                    **_plain(self.settings.of(RiskLimits)),
                    "lockstep": self.options.lockstep,
                },
                run=run,
                name="risk",
            ),
            AgentSpec(
                "bellwire.execution.adapters.paper:PaperAdapter",
                settings={**common, **_plain(self.settings.of(PaperSettings))},
                run=run,
                name="paper",
            ),
        ]

    def feed(self) -> AgentSpec:
        """Return the agent that plays the bars; started last, it begins at once."""
        return AgentSpec(
            "bellwire.agents.feed:BarFeed",
            settings={
                "bars_topic": self.bars_topic,
                "path": str(self.data.path),
                "symbol": self.data.symbol,
                "interval": self.data.interval,
                "bars_max": self.data.bars,
                "lockstep": self.options.lockstep,
            },
            run=self.settings.of(RunSettings),
            name="feed",
        )


def _plain(section: object) -> dict[str, object]:
    """Return a section as JSON values; decimals become text, which keeps their digits."""
    if not dataclasses.is_dataclass(section) or isinstance(section, type):
        raise TypeError(f"{section!r} is no settings section")
    return {
        key: str(value) if isinstance(value, Decimal) else value
        for key, value in dataclasses.asdict(section).items()
    }
