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
    render_results,
    sources_of,
    update_page,
)
from tests.unit.benchmarks.results import document, throughput

EMPTY = "before\n<!-- results:begin -->\n<!-- results:end -->\nafter\n"


def test_results_replace_what_stood_between_the_markers_and_nothing_else():
    once = insert_results(EMPTY, ["a.json"], "old\n")
    twice = insert_results(once, ["b.json"], "new\n")
    assert twice == "before\n<!-- results:begin b.json -->\nnew\n<!-- results:end -->\nafter\n"


def test_a_page_tells_which_files_its_results_are_of():
    assert sources_of(EMPTY) == []
    both = ["a.json", "b.json"]
    assert sources_of(insert_results(EMPTY, both, "old\n")) == both


def test_a_page_without_markers_is_refused():
    with pytest.raises(PageError, match="0 result sections"):
        insert_results("nothing here\n", ["a.json"], "new\n")
    with pytest.raises(PageError, match="no result section"):
        sources_of("nothing here\n")


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
    update_page([REPOSITORY / source for source in sources_of(PAGE.read_text())], page)
    named = re.findall(r"\((images/[^)]*)\)", page.read_text())
    there = [path.relative_to(tmp_path).as_posix() for path in old.parent.iterdir()]
    assert named
    assert sorted(named) == sorted(there)


def test_of_several_results_each_has_its_own_header_and_what_no_later_one_has(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tests.benchmarks.markdown_page.REPOSITORY", tmp_path)
    results = [tmp_path / "a.json", tmp_path / "b.json"]
    first, last = throughput(1, "nats", 11_000), throughput(1, "nats", 22_000)
    other = throughput(1, "nats", 33_000, scenario="throughput-1000")
    results[0].write_text(json.dumps(document(first, other)))
    results[1].write_text(json.dumps(document(last)))
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    update_page(results, page)
    text = page.read_text()
    assert text.count("- machine: ") == len(results)
    assert text.index("33,000") < text.index("22,000")
    assert "11,000" not in text  # A scenario is shown from the last result that has it.


def test_the_committed_page_shows_exactly_what_its_committed_results_give(tmp_path):
    copy = tmp_path / "page.md"
    copy.write_text(PAGE.read_text())
    update_page([REPOSITORY / source for source in sources_of(PAGE.read_text())], copy)
    assert copy.read_text() == PAGE.read_text()
    assert _plots_beside(copy) == _plots_beside(PAGE)


def _plots_beside(page):
    return {path.name: path.read_text() for path in (page.parent / PLOTS).iterdir()}
