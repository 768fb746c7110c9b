"""W3C Trace Context (Recommendation of 2021-11-23): the traceparent text in each message."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

TRACEPARENT_LENGTH: Final = 55
_SAMPLED_FLAG: Final = 0x01
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class TraceParent(NamedTuple):
    """A parsed traceparent: 16-byte trace id and 8-byte span id as hex text."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_traceparent(text: str) -> TraceParent | None:
    """Return the parts, or None when the text is not a valid version-00 traceparent."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED_FLAG))


def format_traceparent(trace_id: int, span_id: int, *, sampled: bool) -> str:
    """Return the 55-character text of a span context given as integers."""
    return f"00-{trace_id:032x}-{span_id:016x}-{'01' if sampled else '00'}"


def is_sampled(traceparent: str) -> bool:
    """Tell cheaply whether the sampled bit is set; the hot path asks this before any tracing call."""
    return len(traceparent) == TRACEPARENT_LENGTH and traceparent[-1] in "13579bdf"
