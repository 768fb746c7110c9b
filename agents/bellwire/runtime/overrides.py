"""Settings of an agent as people type them: "aggregation.rule=vote"; sans I/O."""

import copy
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bellwire.runtime.errors import AgentSettingsError

OVERRIDES_MAX: Final = 1_000  # of one agent; more come from a program, which has its own way

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """A value for one setting."""

    name: str
    """Dotted, where it lies within another."""
    value: object
    """A JSON value."""
    is_text: bool
    """Whether it was typed by somebody, and is to be read as the type of the default."""


def overridden(
    agent: str, defaults: Mapping[str, object], assignments: Sequence[Assignment]
) -> dict[str, object]:
    """Return the settings that differ from an agent's defaults, whole at their topmost name.

    Args:
        agent: Its name, for errors.
        defaults: Its `default_settings`; their values say which type a text is read as.
        assignments: At most 1,000; later ones win.

    Raises:
        AgentSettingsError: No such setting, or a text that is not of the type of its default.
    """
    if len(assignments) > OVERRIDES_MAX:
        raise AgentSettingsError(
            f"agent {agent!r} was given {len(assignments)} settings, at most {OVERRIDES_MAX} are read"
        )
    found: dict[str, object] = {}
    for each in assignments:
        first, *rest = each.name.split(".")
        known = _known(agent, defaults, each.name)
        typed = _typed(agent, each.name, str(each.value), known) if each.is_text else each.value
        if not rest:
            found[first] = typed
            continue
        if first not in found:
            found[first] = copy.deepcopy(defaults[first])
        _put(found[first], rest, typed)
    return found


def setting_names(defaults: Mapping[str, object], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings, in their order."""
    names: list[str] = []
    for name, value in defaults.items():
        if isinstance(value, Mapping) and value:
            names += setting_names(value, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _known(agent: str, defaults: Mapping[str, object], name: str) -> object:
    """Return the default of a setting; below a default that is an empty object all is allowed."""
    value: object = defaults
    for part in name.split("."):
        if not isinstance(value, Mapping) or (value and part not in value) or not part:
            raise _unknown(agent, defaults, name)
        if not value:
            if value is defaults:
                raise _unknown(agent, defaults, name)
            return None
        value = value[part]
    return value


def _unknown(agent: str, defaults: Mapping[str, object], name: str) -> AgentSettingsError:
    names = setting_names(defaults)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? It has" if close else "it has"
    return AgentSettingsError(
        f"agent {agent!r} has no setting {name!r}; {hint} {', '.join(names) or 'none'}"
    )


def _typed(agent: str, name: str, text: str, default: object) -> object:
    """Read a text as the type of the default: JSON, or as it is where the default is a text."""
    try:
        return _read(text, default)
    except ValueError as error:
        raise AgentSettingsError(
            f"setting {name!r} of agent {agent!r} is {text!r}; expected {error}"
        ) from None


def _read(text: str, default: object) -> object:
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return _switch(text)
    if isinstance(default, int):
        return _number(text, "a whole number", int)
    if isinstance(default, float):
        return _number(text, "a number", float)
    if isinstance(default, list | tuple) and not text.lstrip().startswith("["):
        return [_scalar(item.strip()) for item in text.split(",") if item.strip()]
    value = _scalar(text)
    if isinstance(default, list | tuple) and not isinstance(value, list):
        raise ValueError("a,b,… or a JSON list")
    if isinstance(default, Mapping) and not isinstance(value, dict):
        raise ValueError("a JSON object, or one of its names behind a dot")
    return value


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError("true or false")


def _number(text: str, expected: str, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(text.replace("_", ""))
    except ValueError:
        raise ValueError(expected) from None


def _scalar(text: str) -> object:
    """Read JSON; what is none is a text."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _put(holder: object, path: Iterable[str], value: object) -> None:
    """Set a value deep in objects; those that are missing on the way are made."""
    *before, last = path
    for part in before:
        assert isinstance(holder, dict), "the defaults have been looked through"
        holder = holder.setdefault(part, {})
    assert isinstance(holder, dict), "the defaults have been looked through"
    holder[last] = value
