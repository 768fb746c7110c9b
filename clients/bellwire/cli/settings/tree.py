"""The settings tree in force: one value per key, with the place it came from.

Precedence: flags > environment > file > default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bellwire.cli.settings.agent_tables import (
    AGENTS,
    AgentEntry,
    TableKey,
    agent_entries,
    table_key,
)
from bellwire.cli.settings.coerce import from_text, from_toml
from bellwire.cli.settings.errors import InvalidValueError, UnknownKeyError
from bellwire.cli.settings.fields import Leaf, build, leaves_of
from bellwire.cli.settings.sections import SECTIONS, Section
from bellwire.cli.settings.sources import (
    Kind,
    Raw,
    find_file,
    read_env,
    read_file,
    read_set,
    working_directory,
)
from bellwire.wire.settings import SettingsError, shown

__all__ = ["Request", "Setting", "SettingsTree", "load_settings"]

T = TypeVar("T")

ALL_SECTIONS = (*(section.name for section in SECTIONS), AGENTS)


@dataclass(frozen=True, slots=True)
class Request:
    """What a verb wants read: the flags given, and the sections it needs."""

    config: Path | None = None
    assignments: Sequence[str] = ()
    # Typed values of a verb's own flags, by dotted key; None = the flag was not given.
    flags: Mapping[str, object] = field(default_factory=dict)
    sections: Sequence[str] = ALL_SECTIONS


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force."""

    key: str
    value: object
    kind: Kind
    where: str
    leaf: Leaf


class SettingsTree:
    """The sections that were read, built and checked."""

    def __init__(
        self,
        settings: dict[str, Setting],
        instances: dict[type[Any], Any],
        file: Path | None,
        agents: Mapping[str, AgentEntry],
    ) -> None:
        self.settings = settings
        self.agents = agents
        self.file = file
        self._instances = instances

    def of(self, cls: type[T]) -> T:
        """Return the section of that class."""
        instance = self._instances[cls]
        if not isinstance(instance, cls):
            raise TypeError(f"section of {cls.__name__} holds {type(instance).__name__}")
        return instance


def load_settings(
    request: Request | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> SettingsTree:
    """Read file, environment and flags, and build the sections asked for.

    Keys of sections that were not asked for are checked by section name only: importing every
    layer would make quick verbs slow. `bellwire config check` asks for all.

    Raises:
        ConfigError: Naming the place, the key and what to do.
    """
    request = request or Request()
    environ = os.environ if environ is None else environ
    path = find_file(request.config, environ, cwd or working_directory())
    raws = read_file(path) if path else []
    raws += read_env(environ)
    raws += [Raw(k, v, "flag", _flag_name(k)) for k, v in request.flags.items() if v is not None]
    raws += read_set(request.assignments)

    leaves = {s.name: leaves_of(s.load()) for s in SECTIONS if s.name in request.sections}
    settings = {
        f"{section}.{leaf.name}": Setting(
            f"{section}.{leaf.name}", leaf.default, "default", "", leaf
        )
        for section, group in leaves.items()
        for leaf in group.values()
    }
    tables: list[tuple[TableKey, Raw, object]] = []
    for raw in raws:
        if raw.key.partition(".")[0] != AGENTS:
            _apply(raw, settings, leaves)
        elif AGENTS in request.sections:
            tables.append(_apply_table(raw, settings))
    instances = dict(_build(s, settings) for s in SECTIONS if s.name in leaves)
    return SettingsTree(settings, instances, path, agent_entries(tables))


def _flag_name(key: str) -> str:
    return "--" + key.rpartition(".")[2].replace("_", "-")


def _apply(raw: Raw, settings: dict[str, Setting], leaves: dict[str, dict[str, Leaf]]) -> None:
    section = raw.key.partition(".")[0]
    if section not in ALL_SECTIONS:
        raise UnknownKeyError(raw.where, raw.key, _nearest(raw.key, settings))
    if section not in leaves:
        return
    current = settings.get(raw.key)
    if current is None:
        raise UnknownKeyError(raw.where, raw.key, _nearest(raw.key, settings))
    value = _typed(raw, current.leaf)
    settings[raw.key] = Setting(raw.key, value, raw.kind, raw.where, current.leaf)


def _apply_table(raw: Raw, settings: dict[str, Setting]) -> tuple[TableKey, Raw, object]:
    """Read a key of [agents.NAME]; what the agent's own class knows alone stays as it was found."""
    key = table_key(raw)
    leaf = key.leaf or Leaf(raw.key.partition(".")[2], object, None, None)
    value = raw.value if key.leaf is None else _typed(raw, leaf)
    settings[raw.key] = Setting(raw.key, value, raw.kind, raw.where, leaf)
    return key, raw, value


def _nearest(key: str, settings: Mapping[str, object]) -> str | None:
    """Return the known key most like this one; a bare name is compared with bare names too."""
    close = difflib.get_close_matches(key, list(settings), n=1, cutoff=0.6)
    if close:
        return close[0]
    by_last = {known.rpartition(".")[2]: known for known in settings}
    close = difflib.get_close_matches(key.rpartition(".")[2], list(by_last), n=1, cutoff=0.8)
    return by_last[close[0]] if close else None


def _typed(raw: Raw, leaf: Leaf) -> object:
    is_text = raw.kind == "env" or raw.where == "--set"
    try:
        if is_text:
            value = from_text(str(raw.value), leaf.hint)
        elif raw.kind == "file":
            value = from_toml(raw.value, leaf.hint)
        else:
            value = raw.value
    except ValueError as error:
        raise _invalid(raw, leaf, str(error)) from None
    if leaf.info is not None and value is not None and not leaf.info.allows(value):
        raise _invalid(raw, leaf, type(value).__name__)
    return value


def _invalid(raw: Raw, leaf: Leaf, kind: str) -> InvalidValueError:
    return InvalidValueError(raw.where, raw.key, shown(raw.value, leaf.info), _expected(kind, leaf))


def _expected(kind: str, leaf: Leaf) -> str:
    """Say what is expected, with its range and unit."""
    if leaf.info is None:
        return kind
    words = [kind, leaf.info.range_text, f"[{leaf.info.unit}]" if leaf.info.unit else ""]
    return " ".join(word for word in words if word)


def _build(section: Section, settings: dict[str, Setting]) -> tuple[type[Any], Any]:
    cls = section.load()
    prefix = f"{section.name}."
    changed = {
        key.removeprefix(prefix): setting.value
        for key, setting in settings.items()
        if key.startswith(prefix) and setting.kind != "default"
    }
    try:
        return cls, build(cls, changed)
    except SettingsError as error:
        # The dataclass knows its field, not the file: find the place the value came from.
        key = prefix + error.name
        found = settings.get(key)
        where = found.where if found and found.where else section.name
        raise InvalidValueError(where, key, error.found, error.expected) from None
