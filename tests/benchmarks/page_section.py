"""Parts of a page that commands write from their JSON results: `<!-- NAME:begin FILE -->` … `<!-- NAME:end -->`."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.markdown_page import REPOSITORY, PageError

PROFILING_PAGE: Final = REPOSITORY / "docs" / "profiling.md"
Document = dict[str, Any]


def write_section(
    name: str, result: Path, render: Callable[[Document], str], page: Path = PROFILING_PAGE
) -> None:
    """Fill the section from a JSON file inside the repository.

    Raises:
        PageError: The page has no such section, or the file is not kept beside it.
    """
    if not result.resolve().is_relative_to(REPOSITORY):
        raise PageError(f"{result} is outside the repository: put it into benchmarks/results/")
    source = result.resolve().relative_to(REPOSITORY).as_posix()
    body = render(json.loads(result.read_text()))
    page.write_text(fill_section(page.read_text(), name, source, body))


def fill_section(page: str, name: str, source: str, body: str) -> str:
    """Replace what stands between the markers of a section."""
    begin, end = f"<!-- {name}:begin", f"<!-- {name}:end -->"
    marked = re.compile(rf"{re.escape(begin)}[^>]*-->\n.*?{re.escape(end)}", re.DOTALL)
    filled, count = marked.subn(lambda _: f"{begin} {source} -->\n{body}{end}", page)
    if count != 1:
        raise PageError(f"the page has {count} sections {name!r}, one is needed: {begin} … {end}")
    return filled


def provenance(document: Document) -> str:
    """Give where a result comes from, as a list: command, commit, machine, versions."""
    machine = document["machine"]
    lines = {
        "taken": f"{document['taken_at']}, load average {machine['load_average_at_start']}",
        "command": f"`{document['command']}`",
        "commit": f"`{document['commit']}`",
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['kernel']}",
        "versions": ", ".join(f"{name} {found}" for name, found in document["versions"].items()),
    }
    return "\n".join(f"- {key}: {value}" for key, value in lines.items()) + "\n"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a Markdown table: the first column to the left, figures to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
