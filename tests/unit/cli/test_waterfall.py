"""bellwire.cli.span_tree and waterfall: a trace as a tree, drawn within its column."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bellwire.cli.span_tree import DEPTH_MAX, span_tree
from bellwire.cli.waterfall import bar_cells, draw_waterfall

GOLDEN = """\
trace 5b8aa5a2d2c872e8321cf37308d69df2  22:13:20.000 UTC  8 spans, 5 processes, 6.80 ms
service          pid  span                               start     took  0                   6.80 ms
agents/feed-0   4121  send bars.1h                           0   900 µs  ▇▇▇▇
coordinator     4119  ├ route bars.1h                   310 µs  40.0 µs   ▇
agents/rules-0  4122  └ process bars.1h                 800 µs   900 µs     ▇▇▇▇
agents/rules-0  4122    └ send signals.tactical        1.10 ms   500 µs      ▇▇▇
agents/risk-0   4123      └ process signals.tactical   1.70 ms   900 µs        ▇▇▇▇▇
agents/risk-0   4123        └ send orders.paper        2.00 ms   500 µs         ▇▇▇
agents/paper-0  4124          ├ process orders.paper   2.70 ms   400 µs            ▇▇▇
agents/paper-0  4124          └ send executions.paper  6.10 ms   700 µs                          ▇▇▇
"""


def drawn(spans, width=100):
    out = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    out.print(draw_waterfall(span_tree(spans), width))
    return [line.rstrip() for line in out.export_text().splitlines()]


def test_a_trace_is_drawn_as_a_tree_with_bars_to_scale(bar_to_fill_spans):
    assert drawn(bar_to_fill_spans) == GOLDEN.splitlines()


def test_no_line_is_wider_than_the_terminal(bar_to_fill_spans):
    assert max(map(len, drawn(bar_to_fill_spans))) <= 100


def test_a_narrow_terminal_still_shows_every_span(bar_to_fill_spans):
    assert len(drawn(bar_to_fill_spans, width=60)) >= 10


def test_spans_are_ordered_by_parent_and_start_whatever_their_order(bar_to_fill_spans):
    tree = span_tree(bar_to_fill_spans)
    assert [row.span.name for row in tree.rows][:3] == [
        "send bars.1h",
        "route bars.1h",
        "process bars.1h",
    ]
    assert tree == span_tree(list(reversed(bar_to_fill_spans)))
    assert tree.processes == 5
    assert tree.duration_seconds == pytest.approx(0.0068)


def test_a_span_without_its_parent_is_a_root_and_not_lost(bar_to_fill_spans):
    orphans = [span for span in bar_to_fill_spans if span.name != "process bars.1h"]
    tree = span_tree(orphans)
    assert len(tree.rows) == len(orphans)
    assert [row.span.name for row in tree.rows if row.branch == ""] == [
        "send bars.1h",
        "send signals.tactical",
    ]


def test_a_failed_span_is_marked(bar_to_fill_spans):
    failed = [replace(bar_to_fill_spans[0], status="ERROR"), *bar_to_fill_spans[1:]]
    assert "send executions.paper ✗" in "\n".join(drawn(failed))


def test_a_trace_without_length_is_drawn(bar_to_fill_spans):
    point = replace(bar_to_fill_spans[-1], parent_span_id="")
    point = replace(point, end_unix_nano=point.start_unix_nano)
    assert drawn([point])[-1].rstrip().endswith("▇")


def test_spans_that_are_their_own_ancestors_end_the_drawing(bar_to_fill_spans):
    root = replace(bar_to_fill_spans[-1], parent_span_id="")
    first = replace(root, span_id="1" * 16, parent_span_id=root.span_id)
    chain = [root, first]
    for depth in range(2, DEPTH_MAX + 10):
        chain.append(replace(first, span_id=f"{depth:016d}", parent_span_id=chain[-1].span_id))
    assert len(span_tree(chain).rows) == DEPTH_MAX + 1


def test_a_trace_of_no_spans_is_an_error():
    with pytest.raises(ValueError, match="at least one span"):
        span_tree([])


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 200))
def test_a_bar_is_visible_and_never_leaves_its_column(start, duration, rest, columns):
    offset, length = bar_cells(start, duration, start + duration + rest, columns)
    assert length >= 1
    assert offset >= 0
    assert offset + length <= columns
