"""The settings tree as tables in the terminal and as JSON."""

from __future__ import annotations

import enum
import typing
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bellwire.cli.output import Style, console
from bellwire.cli.settings.agent_tables import AGENTS
from bellwire.cli.settings.fields import Leaf
from bellwire.cli.settings.sections import SECTIONS
from bellwire.cli.settings.sources import environment_name
from bellwire.cli.settings.tree import Setting
from bellwire.wire.settings import GROUPED_FROM, shown, without_password

__all__ = ["print_settings", "setting_json", "type_text", "value_text"]


OF_AGENTS: Final = (AGENTS, "what `bellwire agents run` starts, a table each")


def print_settings(settings: Sequence[Setting], out: Console | None = None) -> None:
    """Print settings by section: value with unit, range, source, and why the default is so."""
    out = out or console()
    for name, about in (*((section.name, section.about) for section in SECTIONS), OF_AGENTS):
        rows = [row for row in settings if row.key.startswith(f"{name}.")]
        if not rows:
            continue
        out.print(Text.assemble((f"[{name}]", Style.TITLE), "  ", (about, Style.FAINT)))
        out.print(_section_table(name, rows))
        out.print()


def _section_table(section: str, rows: Sequence[Setting]) -> Table:
    """Return two lines per setting: the facts, and below them why the default is what it is."""
    names = [row.key.removeprefix(f"{section}.") for row in rows]
    facts = [_fact(row) for row in rows]
    name_columns = max(map(len, names)) + 2
    fact_columns = max(fact.cell_len for fact in facts) + 2
    table = Table.grid()
    table.add_column(overflow="fold")
    for row, name, fact in zip(rows, names, facts, strict=True):
        line = Text(name.ljust(name_columns), Style.NAME)
        line.append(fact)
        line.append(" " * (fact_columns - fact.cell_len))
        if row.where:
            line.append(f"from {row.where}", Style.WARN)
        elif row.leaf.info and row.leaf.info.range_text:
            line.append(row.leaf.info.range_text, Style.FAINT)
        table.add_row(line)
        if row.leaf.info:
            table.add_row(Padding(Text(row.leaf.info.why, Style.FAINT), (0, 0, 0, 4)))
    return table


def _fact(row: Setting) -> Text:
    """Return the value with its unit."""
    text = Text(
        value_text(shown(row.value, row.leaf.info)), "" if row.kind == "default" else "bold"
    )
    if row.leaf.info and row.leaf.info.unit:
        text.append(f" {row.leaf.info.unit}", Style.FAINT)
    return text


def setting_json(row: Setting) -> dict[str, object]:
    """Return one setting with everything known of it."""
    info = row.leaf.info
    return {
        "key": row.key,
        "value": _plain(shown(row.value, info)),
        "default": _plain(row.leaf.default),
        "source": row.kind,
        "where": row.where or None,
        "type": type_text(row.leaf),
        "unit": (info.unit or None) if info else None,
        "range": (info.range_text or None) if info else None,
        "why": info.why if info else None,
        "environment": environment_name(row.key),
    }


def type_text(leaf: Leaf) -> str:
    """Return the type of a setting in a word or two."""
    hint = leaf.hint
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint.__name__
    return str(hint).replace("typing.", "").replace("pathlib.", "").replace("decimal.", "")


def value_text(value: object) -> str:
    """Return a value as one would write it in the file, without quotes."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(value_text(item) for item in value) or "none"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int | Decimal) and value == int(value) and value >= GROUPED_FROM:
        return f"{int(value):_}"
    return without_password(str(value)) if value != "" else '""'


def _plain(value: object) -> object:
    """Return a value JSON can hold; passwords in addresses are left out."""
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal | Path) else value
