"""The leaves of a settings dataclass: nested dataclasses opened into dotted names."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any

from bellwire.wire.settings import SettingInfo, SettingsError, setting_info

__all__ = ["Leaf", "build", "leaves_of"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: where it sits in its section, its type, its default and what is known of it."""

    name: str  # dotted within the section, for example "limits.max_messages"
    hint: Any
    default: object
    info: SettingInfo | None


def leaves_of(cls: type[Any]) -> dict[str, Leaf]:
    """Return every leaf of a settings dataclass by its dotted name, in order of declaration."""
    return {leaf.name: leaf for leaf in _walk(cls, cls(), "")}


def _walk(cls: type[Any], defaults: object, prefix: str) -> list[Leaf]:
    hints = typing.get_type_hints(cls)
    found: list[Leaf] = []
    for field in dataclasses.fields(cls):
        default = getattr(defaults, field.name)
        name = prefix + field.name
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            found.extend(_walk(type(default), default, f"{name}."))
        else:
            found.append(Leaf(name, hints[field.name], default, setting_info(field)))
    return found


def build(cls: type[Any], values: dict[str, object]) -> Any:
    """Make the dataclass from its defaults with some leaves replaced, keyed by dotted name."""
    return _replace(cls(), values)


def _replace(instance: Any, values: dict[str, object]) -> Any:
    own: dict[str, object] = {}
    nested: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, inner in nested.items():
        try:
            own[head] = _replace(getattr(instance, head), inner)
        except SettingsError as error:  # Whose name is that of its own class only.
            name = f"{head}.{error.name}"
            raise SettingsError(error.section, name, error.found, error.expected) from None
    return dataclasses.replace(instance, **own) if own else instance
