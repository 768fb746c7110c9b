"""Sections of bellwire.toml that our own agents go by: limits, rules, thresholds, the paper venue."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bellwire.cli.agent_choice import OURS, Chosen
from bellwire.cli.settings import Request, SettingsTree, load_settings
from bellwire.cli.settings.agent_tables import OwnSetting
from bellwire.risk.json_settings import to_json

__all__ = ["with_sections"]

# Of each agent: settings of its own, and the section or key that they are, as the demo has it; later ones win.
READ_BY: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "risk": (("limits", "risk"),),
    "rules": (("rules", "rules"),),
    "tactical": (
        ("rules", "rules"),
        ("aggregation", "tactical"),
        ("base_qty", "risk.base_qty"),
        ("quantity_step", "risk.quantity_step"),
    ),
    "paper": (("venue.quantity_step", "risk.quantity_step"), ("venue", "paper")),
}


def with_sections(chosen: Sequence[Chosen], request: Request) -> tuple[Chosen, ...]:
    """Return the agents with what sections say put before their own settings, which win.

    Only what is set is passed on: the defaults of the agents are those of the sections.

    Args:
        chosen: Agents; those that are not ours stay as they are.
        request: Where settings are read; sections that no agent goes by are left unread.

    Raises:
        ConfigError: A section holds what it cannot.
    """
    read = {each.target: READ_BY.get(_own_name(each.target), ()) for each in chosen}
    sections = {key.partition(".")[0] for pairs in read.values() for _, key in pairs}
    if not sections:
        return tuple(chosen)
    tree = load_settings(dataclasses.replace(request, sections=sorted(sections), flags={}))
    return tuple(
        dataclasses.replace(each, settings=(*_defaults(tree, read[each.target]), *each.settings))
        for each in chosen
    )


def _own_name(target: str) -> str:
    return next((name for name, ours in OURS.items() if ours == target), "")


def _defaults(tree: SettingsTree, pairs: Sequence[tuple[str, str]]) -> Iterable[OwnSetting]:
    for own, source in pairs:
        for key, setting in tree.settings.items():
            if setting.kind != "default" and f"{key}.".startswith(f"{source}."):
                yield OwnSetting(own + key.removeprefix(source), _plain(setting.value), False)


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    return to_json(_Held(value))["value"]


@dataclasses.dataclass(frozen=True, slots=True)
class _Held:
    value: object
