"""`[agents.NAME]`: the agents that `bellwire agents run` starts, one table each."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bellwire.cli.settings.errors import InvalidValueError, UnknownKeyError
from bellwire.cli.settings.fields import Leaf, leaves_of
from bellwire.cli.settings.sources import Raw
from bellwire.wire.settings import check_settings, setting

__all__ = [
    "AGENTS",
    "OWN_SETTINGS",
    "AgentEntry",
    "AgentTable",
    "OwnSetting",
    "TableKey",
    "agent_entries",
    "table_key",
]

AGENTS: Final = "agents"
OWN_SETTINGS: Final = "settings"  # Below it lie the agent's own, whose names its class knows.
NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class AgentTable:
    """What such a table holds besides the agent's own settings."""

    agent: str = field(
        default="",
        metadata=setting(
            unit="",
            why="empty: the table is called as one of ours; else module:Class or file.py:Class",
        ),
    )
    replicas: int = field(
        default=1,
        metadata=setting(
            unit="processes", why="they compete for messages; more cost memory", ge=1, le=256
        ),
    )
    device: str = field(
        default="cpu",
        metadata=setting(unit="", why="cpu, cpu:2,3, cpu:0-3 or cuda:0; the same for each replica"),
    )
    standby: bool = field(
        default=False,
        metadata=setting(
            unit="",
            why="a warm spare of each replica takes a crashed one's place at once, for its memory",
        ),
    )
    on_missing_device: str = field(
        default="refuse",
        metadata=setting(
            unit="",
            why="an agent that is slower than was measured should say so before it trades",
            choices=("refuse", "degrade"),
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class OwnSetting:
    """A value for one of an agent's own settings."""

    name: str
    """Dotted."""
    value: object
    is_text: bool
    """Whether it was typed, and is to be read as the type of the setting's default."""


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One table as it is in force."""

    name: str
    table: AgentTable = AgentTable()
    settings: tuple[OwnSetting, ...] = ()
    """Of the agent itself; later ones win."""


@dataclass(frozen=True, slots=True)
class TableKey:
    """A key below `[agents]`, taken apart."""

    name: str
    leaf: Leaf | None
    """Which setting of the table it is; None = it opens the table, or is one of the agent's own."""
    own: str
    """Dotted name of a setting of the agent; empty = it is the table's."""


def table_key(raw: Raw) -> TableKey:
    """Take a key apart.

    Raises:
        UnknownKeyError: No table has it.
        InvalidValueError: The table's name cannot be an agent's, or it holds no table.
    """
    _, _, rest = raw.key.partition(".")
    name, _, key = rest.partition(".")
    if NAME.fullmatch(name) is None:
        raise InvalidValueError(
            raw.where, raw.key, name, "a table [agents.NAME], NAME of [a-zA-Z0-9_-]"
        )
    if not key and raw.value != {}:
        raise InvalidValueError(raw.where, raw.key, raw.value, f"a table [agents.{name}]")
    head, _, own = key.partition(".")
    if head == OWN_SETTINGS:
        if not own and raw.value != {}:
            raise InvalidValueError(
                raw.where, raw.key, raw.value, f"a table [agents.{name}.settings]"
            )
        return TableKey(name, None, own)
    leaves = leaves_of(AgentTable)
    if key and key not in leaves:
        known = (*leaves, OWN_SETTINGS)
        close = difflib.get_close_matches(key, known, n=1)
        nearest = f"agents.{name}.{close[0]}" if close else f"one of {', '.join(known)}"
        raise UnknownKeyError(raw.where, raw.key, nearest)
    return TableKey(name, leaves.get(key), "")


def agent_entries(found: Iterable[tuple[TableKey, Raw, object]]) -> Mapping[str, AgentEntry]:
    """Put tables together from keys in order of precedence, each with its typed value.

    Raises:
        InvalidValueError: A device is written wrongly, or cannot have what the table asks for.
    """
    entries: dict[str, AgentEntry] = {}
    raws: dict[str, Raw] = {}
    for key, raw, value in found:
        raws[raw.key] = raw
        entry = entries.get(key.name, AgentEntry(key.name))
        if key.own:
            is_text = raw.kind == "env" or raw.where == "--set"
            own = OwnSetting(key.own, raw.value, is_text)
            entry = dataclasses.replace(entry, settings=(*entry.settings, own))
        elif key.leaf is not None:
            table: AgentTable = _replaced(entry.table, key.leaf.name, value)
            entry = dataclasses.replace(entry, table=table)
        entries[key.name] = entry
    for entry in entries.values():
        if entry.table.device != AgentTable().device:
            _check_device(entry, raws)
    return entries


def _check_device(entry: AgentEntry, raws: Mapping[str, Raw]) -> None:
    from bellwire.runtime.device import parse_device
    from bellwire.runtime.errors import InvalidDeviceError

    raw = raws[f"{AGENTS}.{entry.name}.device"]
    try:
        device = parse_device(entry.table.device)
    except InvalidDeviceError as error:
        raise InvalidValueError(
            raw.where, raw.key, raw.value, f"cpu, cpu:2,3, cpu:0-3 or cuda:0: {error.found}"
        ) from error
    if entry.table.standby and device.gpu is not None:
        raw = raws[f"{AGENTS}.{entry.name}.standby"]
        expected = (
            f"false on {entry.table.device}: a spare would hold the model on the GPU a second time"
        )
        raise InvalidValueError(raw.where, raw.key, raw.value, expected)


def _replaced(table: Any, name: str, value: object) -> Any:
    return dataclasses.replace(table, **{name: value})
