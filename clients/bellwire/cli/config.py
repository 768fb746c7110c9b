"""`bellwire config`: every setting, its value, where that came from, and why its default is so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellwire.cli.options import ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from bellwire.cli.settings import Setting, SettingsTree

__all__ = ["app"]

app = typer.Typer(help="Show and check the settings in force.", no_args_is_help=True)


@app.command()
def show(
    section: Annotated[str | None, typer.Argument(help="Only this section.")] = None,
    changed: Annotated[bool, typer.Option(help="Only what is not a default.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The reference table of docs/configuration.md.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FILE", help="With --markdown: renew it in that page."),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show every setting with value, source, unit, range and the reason of its default."""
    from bellwire.cli.config_page import reference_markdown, renew_page
    from bellwire.cli.config_view import print_settings, setting_json
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.output import print_json

    if into is not None and not markdown:
        raise UsageFault("--into goes with --markdown")
    if markdown:
        if into is None:
            typer.echo(reference_markdown(), nl=False)
        else:
            renew_page(into)
        return
    rows = _selected(_load(config, assignments), section, changed)
    if json:
        for row in rows:
            print_json(setting_json(row))
        return
    print_settings(rows)


@app.command()
def check(
    config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = False
) -> None:
    """Read file, environment and flags as `serve` would, and stop at the first mistake."""
    from bellwire.cli.output import Style, console, print_json

    tree = _load(config, assignments)
    changed = sum(setting.kind != "default" for setting in tree.settings.values())
    file = str(tree.file) if tree.file else None
    if json:
        print_json({"ok": True, "file": file, "settings": len(tree.settings), "changed": changed})
        return
    console().print(
        f"[{Style.GOOD}]ok[/]  {file or 'no settings file'}: "
        f"{changed} of {len(tree.settings)} settings differ from their defaults"
    )


def _load(config: ConfigOption, assignments: SetOption) -> SettingsTree:
    from bellwire.cli.settings import Request, load_settings

    return load_settings(Request(config=config, assignments=assignments or ()))


def _selected(tree: SettingsTree, section: str | None, changed: bool) -> list[Setting]:
    from bellwire.cli.faults import UsageFault
    from bellwire.cli.settings.agent_tables import AGENTS
    from bellwire.cli.settings.sections import SECTIONS, section_named

    if section not in (None, AGENTS) and section_named(section) is None:
        names = ", ".join((*(known.name for known in SECTIONS), AGENTS))
        raise UsageFault(f"there is no section {section!r}; the sections are {names}")
    return [
        setting
        for key, setting in tree.settings.items()
        if (section is None or key.startswith(f"{section}."))
        and (not changed or setting.kind != "default")
    ]
