"""The stages: every step does its work, parts are not counted twice, and the page takes the result."""

import pytest
from tests.benchmarks.markdown_page import PageError
from tests.benchmarks.page_section import fill_section, markdown_table
from tests.benchmarks.stage_parts import TRANSPORT_OF, Way
from tests.benchmarks.stage_table import render_stages, waited_us
from tests.benchmarks.stage_timing import time_paced_steps, time_steps

PROVENANCE = {
    "taken_at": "2026-01-01T00:00:00+00:00",
    "command": "python tests/benchmarks/stages.py",
    "commit": "0123456789ab",
    "machine": {
        "cpu": "c", "cores": 2, "memory_gib": 1, "kernel": "k", "load_average_at_start": 0
    },
    "versions": {"python": "CPython 3.11"},
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 10, 100, 1_000])
def test_what_is_handed_over_is_what_was_built(size):
    way = Way(size, 2)
    for number in range(2):
        for step in way.steps():
            found = step.run(number)
            if step.name == "hand over":
                assert found == way.payloads[number]
    weight = way.frame_bytes()
    assert weight["delivery"] > weight["request"] * 0.9 > 0


def test_a_batch_that_comes_twice_is_not_delivered_again():
    way = Way(10, 2)
    steps = way.steps()
    for step in steps:
        step.run(0)
    with pytest.raises(AssertionError, match="batch 1 was not delivered"):
        next(step for step in steps if step.name.startswith("deliver")).run(1)


def test_each_step_is_timed_and_the_parts_are_no_summands():
    figures = time_steps(10, 3)
    steps = {step["name"]: step for step in figures["steps"]}
    assert all(step["p50_us"] <= step["p95_us"] <= step["p99_us"] for step in steps.values())
    assert {step["part_of"] for step in steps.values() if step["part_of"]} < steps.keys()
    counted = [s["p50_us"] for s in steps.values() if s["waited_for"] and not s["part_of"]]
    assert waited_us(figures) == pytest.approx(sum(counted))
    assert len(counted) < len(steps)


def test_the_page_shows_steps_transports_and_the_rest():
    size = time_steps(1, 3)
    names = sorted({*TRANSPORT_OF.values()})
    size["floors"] = [{"name": n, "title": n, "p50_us": 100.0, "p99_us": 200.0} for n in names]
    whole = {"name": "bellwire_tcp", "floor": TRANSPORT_OF["bellwire_tcp"], "p50_us": 10_000.0}
    paced = time_paced_steps(0)
    page = render_stages(PROVENANCE | {"sizes": [size], "paced": paced, "end_to_end": [whole]})
    assert "| take the frame | coordinator |" in page
    assert "100 / 200" in page
    rest = page[page.index("| Bellwire TCP |") :].split(" | ")[-1].partition(" |")[0]
    assert int(rest.replace(",", "")) == pytest.approx(9_900 - waited_us(paced), abs=1)


def test_single_messages_apart_take_the_same_steps():
    paced = time_paced_steps(0)
    steps = [step.name for step in Way(1, 0).steps() if not step.part_of]
    assert [step["name"] for step in paced["steps"]] == steps
    assert waited_us(paced) > 0


def test_a_section_is_replaced_and_a_page_without_it_is_refused():
    page = "a\n<!-- x:begin old.json -->\nold\n<!-- x:end -->\nb\n"
    filled = fill_section(page, "x", "new.json", markdown_table(("h", "n"), [("r", "1")]))
    table = "| h | n |\n| --- | ---: |\n| r | 1 |\n"
    assert filled == f"a\n<!-- x:begin new.json -->\n{table}<!-- x:end -->\nb\n"
    with pytest.raises(PageError, match="0 sections 'y'"):
        fill_section(page, "y", "new.json", "")
