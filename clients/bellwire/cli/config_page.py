"""The reference part of docs/configuration.md, made from the settings classes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bellwire.cli.config_view import value_text
from bellwire.cli.faults import UsageFault
from bellwire.cli.settings.fields import Leaf, leaves_of
from bellwire.cli.settings.sections import SECTIONS
from bellwire.cli.settings.sources import environment_name

__all__ = ["BEGIN", "END", "reference_markdown", "renew_page", "with_reference"]

BEGIN: Final = (
    "<!-- made by `bellwire config show --markdown`; edit the settings classes instead -->"
)
END: Final = "<!-- end of the reference -->"


def reference_markdown() -> str:
    """Return the table of every setting, by section."""
    return "\n".join(_lines()) + "\n"


def with_reference(page: str) -> str:
    """Return the page with the part between its two marks made anew.

    Raises:
        ValueError: When a mark is missing.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page lacks a mark of the generated reference")
    return f"{head}{BEGIN}\n\n{reference_markdown()}\n{END}{tail}"


def renew_page(path: Path) -> None:
    """Write the reference into the page, between its marks.

    Raises:
        UsageFault: When the page cannot be read or written, or lacks a mark.
    """
    try:
        path.write_text(with_reference(path.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"{path} cannot be renewed: {error.strerror}") from None
    except ValueError as error:
        raise UsageFault(f"{path} cannot be renewed: {error}") from None


def _lines() -> Iterator[str]:
    for index, section in enumerate(SECTIONS):
        if index:
            yield ""
        yield f"### `[{section.name}]`: {section.about}"
        yield ""
        yield "| setting | default | unit | range | why the default |"
        yield "|---|---|---|---|---|"
        for leaf in leaves_of(section.load()).values():
            yield _row(leaf)
        yield ""
        example = f"{section.name}.{next(iter(leaves_of(section.load())))}"
        yield f"Environment: `{environment_name(example)}=…` and so on."


def _row(leaf: Leaf) -> str:
    info = leaf.info
    cells = [
        f"`{leaf.name}`",
        f"`{value_text(leaf.default)}`",
        info.unit if info else "",
        info.range_text if info else "",
        info.why if info else "",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
