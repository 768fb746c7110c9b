"""Which agents `bellwire agents run` starts: names of ours, tables of bellwire.toml, classes of users."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.cli.faults import UsageFault
from bellwire.cli.output import harmless
from bellwire.cli.settings import AgentEntry, AgentTable
from bellwire.cli.settings.agent_tables import OwnSetting

__all__ = ["OURS", "AgentFlags", "Chosen", "choose"]

OURS: Final[Mapping[str, str]] = {
    "tactical": "bellwire.agents.tactical.tactical_agent:TacticalAgent",
    "rules": "bellwire.agents.tactical.agent:RulesAgent",
    "strategic": "bellwire.agents.strategic.strategic_agent:StrategicAgent",
    "risk": "bellwire.execution.risk_agent:RiskAgent",
    "paper": "bellwire.execution.adapters.paper.agent:PaperAdapter",
    "feed": "bellwire.agents.feed:BarFeed",
}
AGENTS_MAX: Final = 64  # Of one command; more want a supervisor of their own, or replicas.


@dataclass(frozen=True, slots=True)
class AgentFlags:
    """What the command line says of every agent it names; None = nothing."""

    replicas: int | None = None
    device: str | None = None
    standby: bool | None = None
    degrade: bool | None = None
    settings: tuple[str, ...] = ()
    """KEY=VALUE, of the only agent."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One agent to start."""

    name: str
    """Of its table, or ours; empty = what its class says."""
    target: str
    """"module:Class" or "file.py:Class"."""
    table: AgentTable
    settings: tuple[OwnSetting, ...]


def choose(
    names: Sequence[str], flags: AgentFlags, entries: Mapping[str, AgentEntry]
) -> tuple[Chosen, ...]:
    """Return the agents that were named, or those of all tables where none was.

    Args:
        names: AGENT of the command line: of a table, of ours, or a class; at most 64.
        flags: Win over the tables.
        entries: The tables `[agents.NAME]`.

    Raises:
        UsageFault: There is no such agent, or none at all, or one is named twice.
    """
    asked = list(names) or list(entries)
    if not asked:
        raise UsageFault(
            f"name an AGENT: {', '.join(OURS)}, package.module:Class or path/to/file.py:Class; "
            "or write a table [agents.NAME] into bellwire.toml"
        )
    if len(asked) > AGENTS_MAX:
        raise UsageFault(f"{len(asked)} agents are too many for one command; at most {AGENTS_MAX}")
    twice = sorted({name for name in asked if asked.count(name) > 1})
    if twice:
        raise UsageFault(f"{harmless(twice[0])} is named twice; for two processes say --replicas 2")
    if flags.settings and len(asked) > 1:
        raise UsageFault(
            "--setting is for a single AGENT; of several write [agents.NAME.settings] into bellwire.toml"
        )
    return tuple(_flagged(_found(name, entries), flags) for name in asked)


def _found(name: str, entries: Mapping[str, AgentEntry]) -> Chosen:
    entry = entries.get(name)
    if entry is None:
        return Chosen("" if name not in OURS else name, _target(name, entries), AgentTable(), ())
    target = _target(entry.table.agent or name, entries)
    return Chosen(name, target, entry.table, entry.settings)


def _target(text: str, entries: Mapping[str, AgentEntry]) -> str:
    if text in OURS:
        return OURS[text]
    if ":" in text:
        return text
    tables = f"; bellwire.toml has {', '.join(entries)}" if entries else ""
    raise UsageFault(
        f"there is no agent {text!r}; ours are {', '.join(OURS)}{tables}; "
        "your own are written package.module:Class or path/to/file.py:Class"
    )


def _flagged(chosen: Chosen, flags: AgentFlags) -> Chosen:
    table = chosen.table
    table = dataclasses.replace(
        table,
        replicas=table.replicas if flags.replicas is None else flags.replicas,
        device=table.device if flags.device is None else flags.device,
        standby=table.standby if flags.standby is None else flags.standby,
        on_missing_device="degrade" if flags.degrade else table.on_missing_device,
    )
    settings = (*chosen.settings, *map(_assignment, flags.settings))
    return dataclasses.replace(chosen, table=table, settings=settings)


def _assignment(text: str) -> OwnSetting:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageFault(f"--setting {text!r} is no KEY=VALUE, for example bars_topic=bars.5m")
    return OwnSetting(name.strip(), value, is_text=True)
