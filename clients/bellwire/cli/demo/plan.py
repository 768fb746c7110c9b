"""What a demo runs: the coordinator, the agents, their topics and settings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agents.bars import interval_seconds
from bellwire.agents.feed import BarFeedSettings
from bellwire.agents.tactical import RulesSettings
from bellwire.agents.tactical.agent import RulesAgentSettings
from bellwire.agents.tactical.aggregate import AggregationSettings
from bellwire.agents.tactical.tactical_settings import TacticalAgentSettings
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.cli.demo.market_data import MarketData
from bellwire.cli.demo.run_directory import RunDirectory
from bellwire.cli.demo.scaled_limits import scaled_limits, scaled_paper
from bellwire.cli.settings import SettingsTree
from bellwire.client import ClientSettings
from bellwire.execution.adapters.paper.agent import PaperAgentSettings
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.execution.risk_agent import RiskAgentSettings
from bellwire.risk.json_settings import to_json
from bellwire.risk.limits import RiskLimits
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.spec import AgentSpec, ChildContext, ProcessSpec, SupervisorSettings
from bellwire.telemetry import TelemetrySettings

__all__ = ["DemoOptions", "DemoPlan"]

COORDINATOR: Final = "coordinator"
SAMPLE_EVERYTHING: Final = 1.0
FIRST_STAGE: Final = "bars"  # the watermark the feed itself sends
LAST_STAGE: Final = "executions.accepted"  # the watermark no agent follows up
STOP_GRACE_SECONDS: Final = 1.0  # Ctrl-C: a bar in hand need not be finished, nothing is real
FREE_RUN_AHEAD_BARS: Final = 100  # a full batch
# Running free, event time flies: a signal is hundreds of bars old before the gateway sees it.
FREE_RUN_FRESH_BARS: Final = 1_000
SIGNALS: Final = "signals.tactical"
DECISIONS: Final = "risk.decisions"
ORDERS: Final = "orders.paper"
EXECUTIONS: Final = "executions.paper"
KILL_SWITCH: Final = "control.killswitch"
RULES: Final = "rules"
TACTICAL: Final = "tactical"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The flags of `bellwire demo`."""

    lockstep: bool
    seed: int
    config: Path | None
    assignments: Sequence[str]
    policy: str = TACTICAL
    """Who decides: `rules` or `tactical`."""
    model: Path | None = None
    """Folder of the tactical policy's model, absolute; None = the bundled one."""


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
        names = (self.bars_topic, SIGNALS, DECISIONS, ORDERS, EXECUTIONS, KILL_SWITCH)
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
        risk = RiskAgentSettings(
            signals_topic=SIGNALS,
            decisions_topic=DECISIONS,
            orders_topic=ORDERS,
            executions_topic=EXECUTIONS,
            killswitch_topic=KILL_SWITCH,
            lockstep=self.options.lockstep,
            limits=self.limits(),
        )
        paper = PaperAgentSettings(
            bars_topic=self.bars_topic,
            orders_topic=ORDERS,
            executions_topic=EXECUTIONS,
            venue=self.venue(),
        )
        return [
            self._tactical() if self.options.policy == TACTICAL else self._rules(),
            self._agent("risk", "bellwire.execution.risk_agent:RiskAgent", risk),
            self._agent("paper", "bellwire.execution.adapters.paper.agent:PaperAdapter", paper),
        ]

    def _rules(self) -> AgentSpec:
        settings = RulesAgentSettings(
            bars_topic=self.bars_topic,
            signals_topic=SIGNALS,
            valid_bars=self._valid_bars,
            rules=self.settings.of(RulesSettings),
        )
        return self._agent(RULES, "bellwire.agents.tactical.agent:RulesAgent", settings)

    def _tactical(self) -> AgentSpec:
        limits = self.limits()
        settings = TacticalAgentSettings(
            bars_topic=self.bars_topic,
            signals_topic=SIGNALS,
            model_dir=str(self.options.model or ""),
            base_qty=limits.base_qty,
            quantity_step=limits.quantity_step,
            valid_bars=self._valid_bars,
            aggregation=self.settings.of(AggregationSettings),
            rules=self.settings.of(RulesSettings),
        )
        target = "bellwire.agents.tactical.tactical_agent:TacticalAgent"
        return self._agent(TACTICAL, target, settings)

    @property
    def _valid_bars(self) -> int:
        return 1 if self.options.lockstep else FREE_RUN_FRESH_BARS

    def limits(self) -> RiskLimits:
        """Return the limits: those set, else the defaults, scaled to data they were not made for."""
        limits = self.settings.of(RiskLimits)
        is_set = any(
            setting.kind != "default"
            for key, setting in self.settings.settings.items()
            if key.startswith("risk.")
        )
        if not is_set and not self.data.is_usual:
            limits = scaled_limits(self.data.series, limits)
        if not self.options.lockstep:
            fresh = FREE_RUN_FRESH_BARS * interval_seconds(self.data.interval)
            limits = dataclasses.replace(limits, signal_age_seconds_max=float(fresh))
        return limits

    def venue(self) -> PaperSettings:
        """Return how the paper venue trades; its step is that of the limits unless it was set."""
        venue = self.settings.of(PaperSettings)
        is_set = self.settings.settings["paper.quantity_step"].kind != "default"
        return venue if is_set else scaled_paper(self.limits(), venue)

    def feed(self) -> AgentSpec:
        """Return the agent that plays the bars; started last, it begins at once."""
        feed = BarFeedSettings(
            path=str(self.data.path),
            symbol=self.data.symbol,
            interval=self.data.interval,
            bars_max=self.data.bars,
            bars_topic=self.bars_topic,
            clock_topic=EXECUTIONS if self.options.lockstep else self.bars_topic,
            clock_stage=LAST_STAGE if self.options.lockstep else FIRST_STAGE,
            ahead_bars_max=1 if self.options.lockstep else FREE_RUN_AHEAD_BARS,
        )
        return self._agent("feed", "bellwire.agents.feed:BarFeed", feed)

    def _agent(self, name: str, target: str, settings: object) -> AgentSpec:
        return AgentSpec(
            target,
            name=name,
            settings=to_json(settings),
            run=dataclasses.replace(
                self.settings.of(RunSettings), stop_grace_seconds=STOP_GRACE_SECONDS
            ),
            environment={
                # The order of sets is the only thing in these agents that chance decides.
                "PYTHONHASHSEED": str(self.options.seed),
                "PYTHONFAULTHANDLER": "1",  # a crash in C leaves its stack in the log
            },
        )
