"""The result part of docs/benchmarks.md and its plots: written from a JSON result, never by hand."""

import json
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.header import header_of
from tests.benchmarks.plots import plots_of
from tests.benchmarks.summary import Document
from tests.benchmarks.tables import Table, tables_of

REPOSITORY: Final = Path(__file__).parents[2]
PAGE: Final = REPOSITORY / "docs" / "benchmarks.md"
PLOTS: Final = "images/benchmarks"  # Beside the page.
BEGIN: Final = "<!-- results:begin"
END: Final = "<!-- results:end -->"
MARKED: Final = re.compile(rf"{BEGIN}(?P<source>[^>]*)-->\n(?P<body>.*?){END}", re.DOTALL)


class PageError(Exception):
    """The page has no place for the results, or the result is not kept beside it."""


def render_results(document: Document) -> str:
    """Give the header and the tables as Markdown."""
    header = "\n".join(f"- {key}: {_code(key, value)}" for key, value in header_of(document))
    plots = render_plots(document)
    tables = [_render_table(table, plots) for table in tables_of(document)]
    return "\n\n".join([header, *tables]) + "\n"


def render_plots(document: Document) -> dict[str, str]:
    """Give the plots by their names beside the page."""
    return {f"{PLOTS}/{name}.svg": image for name, image in plots_of(document).items()}


def insert_results(page: str, sources: Sequence[str], results: str) -> str:
    """Replace what stands between the markers; `sources` names the JSON files the results are of."""
    named = " ".join(sources)
    filled, replaced = MARKED.subn(lambda _: f"{BEGIN} {named} -->\n{results}{END}", page)
    if replaced != 1:
        raise PageError(f"the page has {replaced} result sections, one is needed: {BEGIN} … {END}")
    return filled


def sources_of(page: str) -> list[str]:
    """Name the JSON files the page shows, relative to the repository."""
    found = MARKED.search(page)
    if found is None:
        raise PageError(f"the page has no result section: {BEGIN} … {END}")
    return found["source"].split()


def update_page(results: Sequence[Path], page: Path = PAGE) -> None:
    """Write the results of JSON files inside the repository into the page, one after the other.

    A scenario that several of them hold is shown from the last one.
    """
    for result in results:
        if not result.resolve().is_relative_to(REPOSITORY):
            raise PageError(
                f"{result} is outside the repository: put it into benchmarks/results/ first"
            )
    documents = _without_repeats([json.loads(result.read_text()) for result in results])
    sources = [result.resolve().relative_to(REPOSITORY).as_posix() for result in results]
    filled = insert_results(page.read_text(), sources, "\n".join(map(render_results, documents)))
    plots: dict[str, str] = {}
    for document in documents:
        plots |= render_plots(document)
    _write_plots(page.parent, plots)
    page.write_text(filled)


def _without_repeats(documents: Sequence[Document]) -> list[Document]:
    later: set[str] = set()
    kept: list[Document] = []
    for document in reversed(documents):
        mine = [each for each in document["measurements"] if each["scenario"] not in later]
        later |= {each["scenario"] for each in mine}
        kept.append({**document, "measurements": mine})
    return kept[::-1]


def _write_plots(folder: Path, plots: dict[str, str]) -> None:
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    for old in (folder / PLOTS).glob("*.svg"):
        old.unlink()  # Of a scenario that these results do not hold.
    for name, image in plots.items():
        (folder / name).write_text(image)


def _code(key: str, value: str) -> str:
    return f"`{value}`" if key in {"command", "commit"} else value


def _render_table(table: Table, plots: Container[str]) -> str:
    plot = f"{PLOTS}/{table.scenario}.svg"
    lines = [
        f"**{table.title}**\n",
        *([f"![{table.title}, as a plot]({plot})\n"] if plot in plots else []),
        _line(table.columns),
        _line(("---", *["---:"] * (len(table.columns) - 1))),
        *map(_line, table.rows),
        *(f"\n{note}" for note in table.notes),
    ]
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
