"""bellwire.cli.trace_choice: one trace found among many, or told why not."""

from __future__ import annotations

import json

import pytest

from bellwire.cli.faults import CommandError, UsageFault
from bellwire.cli.span_tree import span_tree
from bellwire.cli.trace_choice import find_last, find_trace, trace_json

NANOS = 1_700_000_000_000_000_000


def write_trace(folder, trace_id, start, name="send bars.1h"):
    span = {
        "traceId": trace_id,
        "spanId": "00f067aa0ba902b7",
        "name": name,
        "kind": 4,
        "startTimeUnixNano": str(NANOS + start),
        "endTimeUnixNano": str(NANOS + start + 1000),
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "feed"}}]}
    line = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    with (folder / "feed-1.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def folder(tmp_path):
    write_trace(tmp_path, "aaaa1" + "0" * 27, 1)
    write_trace(tmp_path, "aaaa2" + "0" * 27, 3, "send orders.paper")
    write_trace(tmp_path, "bbbb3" + "0" * 27, 2)
    return tmp_path


def test_the_last_trace_is_the_one_that_began_last(folder):
    assert find_last(folder)[0].trace_id.startswith("aaaa2")


def test_the_last_trace_can_be_asked_to_hold_a_span(folder):
    assert find_last(folder, "bars")[0].trace_id.startswith("bbbb3")


def test_asking_for_a_span_no_trace_has_is_told(folder):
    with pytest.raises(CommandError, match=r"none of the 3 traces .* named like 'nope'"):
        find_last(folder, "nope")


def test_the_first_digits_name_a_trace(folder):
    assert find_trace(folder, "BBBB")[0].trace_id == "bbbb3" + "0" * 27


def test_digits_that_fit_two_traces_are_refused_with_both(folder):
    with pytest.raises(
        UsageFault, match=r"2 traces begin with aaaa: aaaa10.*, aaaa20.*more digits"
    ):
        find_trace(folder, "aaaa")


@pytest.mark.parametrize("text", ["aa", "zzzz", "a" * 33])
def test_what_is_no_trace_id_is_refused(folder, text):
    with pytest.raises(UsageFault, match="is no trace id; give 4 to 32 hex digits"):
        find_trace(folder, text)


def test_an_unknown_trace_names_the_last_one(folder):
    with pytest.raises(CommandError, match="begins with cccc; the last one is aaaa2"):
        find_trace(folder, "cccc")


def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CommandError, match="there is no trace directory"):
        find_last(tmp_path / "absent")


def test_a_directory_without_spans_is_told(tmp_path):
    with pytest.raises(CommandError, match="holds no spans yet"):
        find_last(tmp_path)


def test_a_trace_as_json_is_one_object_with_offsets(bar_to_fill_spans):
    found = json.loads(json.dumps(trace_json(span_tree(bar_to_fill_spans))))
    assert found["processes"] == 5
    assert found["spans"][0]["parent_span_id"] is None
    assert found["spans"][2]["offset_seconds"] == pytest.approx(0.0008)
    assert found["spans"][2]["service"] == "agents/rules-0"
