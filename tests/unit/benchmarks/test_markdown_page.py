"""The generated part of docs/benchmarks.md."""

import json
import re

import pytest
from tests.benchmarks.markdown_page import (
    PAGE,
    PLOTS,
    REPOSITORY,
    PageError,
    insert_results,
    render_plots,
    render_results,
    source_of,
    update_page,
)
from tests.unit.benchmarks.results import document, throughput

EMPTY = "before\n<!-- results:begin -->\n<!-- results:end -->\nafter\n"


def test_results_replace_what_stood_between_the_markers_and_nothing_else():
    once = insert_results(EMPTY, "a.json", "old\n")
    twice = insert_results(once, "b.json", "new\n")
    assert twice == "before\n<!-- results:begin b.json -->\nnew\n<!-- results:end -->\nafter\n"


def test_a_page_tells_which_file_its_results_are_of():
    assert source_of(EMPTY) is None
    assert source_of(insert_results(EMPTY, "a.json", "old\n")) == "a.json"


def test_a_page_without_markers_is_refused():
    with pytest.raises(PageError, match="0 result sections"):
        insert_results("nothing here\n", "a.json", "new\n")
    with pytest.raises(PageError, match="no result section"):
        source_of("nothing here\n")


def test_a_table_is_rendered_with_as_many_cells_as_heads():
    lines = render_results(document(throughput(1, "nats", 157_000))).splitlines()
    head, rule, row = lines[lines.index("**Throughput, batches of at most 100**") + 4 :][:3]
    assert head.count("|") == rule.count("|") == row.count("|")
    assert "157,000" in row


def test_a_plot_stands_between_the_title_of_its_table_and_the_table():
    lines = render_results(document(throughput(1, "nats", 157_000))).splitlines()
    title = lines.index("**Throughput, batches of at most 100**")
    assert lines[title + 2].endswith("(images/benchmarks/throughput-100.svg)")
    assert lines[title + 4].startswith("| system |")


def test_updating_a_page_writes_its_plots_and_removes_those_of_the_result_before(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    old = tmp_path / PLOTS / "gone.svg"
    old.parent.mkdir(parents=True)
    old.touch()
    update_page(REPOSITORY / "benchmarks/results/all.json", page)
    named = re.findall(r"\((images/[^)]*)\)", page.read_text())
    there = [path.relative_to(tmp_path).as_posix() for path in old.parent.iterdir()]
    assert named
    assert sorted(named) == sorted(there)


def test_the_committed_page_shows_exactly_what_its_committed_result_gives():
    page = PAGE.read_text()
    source = source_of(page)
    if source is None:
        return  # No run has been published yet; the page says so itself.
    result = json.loads((REPOSITORY / source).read_text())
    assert insert_results(page, source, render_results(result)) == page
    committed = {
        path.relative_to(PAGE.parent).as_posix(): path.read_text()
        for path in (PAGE.parent / PLOTS).iterdir()
    }
    assert committed == render_plots(result)
