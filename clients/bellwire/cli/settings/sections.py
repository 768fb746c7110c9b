"""The sections of the settings tree: which layer owns each, found without importing it first."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["SECTIONS", "Section", "section_named"]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of `bellwire.toml` and the frozen dataclass behind it."""

    name: str
    module: str
    class_name: str
    about: str

    def load(self) -> type[Any]:
        """Import the layer that owns the section and return its dataclass."""
        loaded: type[Any] = getattr(importlib.import_module(self.module), self.class_name)
        return loaded


SECTIONS: Final = (
    Section(
        "command", "bellwire.cli.settings.command", "CommandSettings", "the `bellwire` command"
    ),
    Section(
        "coordinator",
        "bellwire.coordinator.config",
        "CoordinatorSettings",
        "the process that `bellwire serve` starts",
    ),
    Section(
        "cache",
        "bellwire.coordinator.cache.settings",
        "CacheSettings",
        "answers of cacheable calls that `bellwire serve` remembers",
    ),
    Section(
        "client",
        "bellwire.client.settings",
        "ClientSettings",
        "every process the command starts that talks to a coordinator",
    ),
    Section(
        "bridge",
        "bellwire.bridge.settings",
        "BridgeSettings",
        "what `bellwire bridge` mirrors between the bus and Kafka",
    ),
    Section(
        "telemetry", "bellwire.telemetry", "TelemetrySettings", "spans: how many, and where they go"
    ),
    Section(
        "runtime",
        "bellwire.runtime.settings",
        "RunSettings",
        "how an agent process takes, retries and settles messages",
    ),
    Section(
        "supervisor",
        "bellwire.runtime.spec",
        "SupervisorSettings",
        "how agent processes are started, restarted and stopped",
    ),
    Section(
        "rules",
        "bellwire.agents.tactical",
        "RulesSettings",
        "thresholds of the rules agent: when it signals",
    ),
    Section(
        "tactical",
        "bellwire.agents.tactical",
        "AggregationSettings",
        "how the tactical agent joins what its networks say",
    ),
    Section(
        "train",
        "bellwire.agents.train.settings",
        "MappoSettings",
        "how `bellwire train` learns: MAPPO, of either system",
    ),
    Section(
        "split",
        "bellwire.agents.train.settings",
        "SplitSettings",
        "how `bellwire train` parts bars into those learnt from and those tested on",
    ),
    Section(
        "quantize",
        "bellwire.agents.quantize.settings",
        "CalibrationSettings",
        "what `bellwire model quantize` fixes ranges with",
    ),
    Section(
        "gate",
        "bellwire.agents.quantize.settings",
        "GateSettings",
        "how far a quantized model may be from its parent",
    ),
    Section("risk", "bellwire.risk.limits", "RiskLimits", "what the risk gateway allows"),
    Section(
        "paper",
        "bellwire.execution.adapters.paper.settings",
        "PaperSettings",
        "how the paper venue trades",
    ),
    Section(
        "sink",
        "bellwire.sink.settings",
        "SinkSettings",
        "how `bellwire sink` gathers, writes, compacts and drops",
    ),
    Section(
        "query", "bellwire.sink.settings", "QuerySettings", "what one `bellwire query` may use"
    ),
    Section(
        "loadtest",
        "bellwire.cli.loadtest.settings",
        "LoadTestSettings",
        "how `bellwire loadtest` measures and judges",
    ),
)


def section_named(name: str) -> Section | None:
    """Return the section of that name, or None."""
    return next((section for section in SECTIONS if section.name == name), None)
