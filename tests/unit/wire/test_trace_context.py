"""bellwire.wire.trace_context: the W3C text, read strictly and asked cheaply."""

from __future__ import annotations

import pytest

from bellwire.wire.trace_context import (
    TraceParent,
    format_traceparent,
    is_sampled,
    parse_traceparent,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


def test_what_is_formatted_parses_again():
    text = format_traceparent(int(TRACE_ID, 16), int(SPAN_ID, 16), sampled=True)
    assert text == f"00-{TRACE_ID}-{SPAN_ID}-01"
    assert parse_traceparent(text) == TraceParent(TRACE_ID, SPAN_ID, True)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_only_the_lowest_flag_bit_means_sampled(flags, sampled):
    text = f"00-{TRACE_ID}-{SPAN_ID}-{flags}"
    parsed = parse_traceparent(text)
    assert parsed is not None
    assert parsed.sampled is sampled
    assert is_sampled(text) is sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"01-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID[:-1]}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01 ",
        f"00_{TRACE_ID}-{SPAN_ID}-01",
    ],
)
def test_anything_else_is_no_traceparent(text):
    assert parse_traceparent(text) is None


def test_a_text_of_another_length_is_never_sampled():
    assert not is_sampled("")
    assert not is_sampled("1" * 54)
    assert not is_sampled("1" * 500)
