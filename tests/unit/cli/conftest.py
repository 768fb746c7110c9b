"""Spans of one bar-to-fill trace over five processes, for the tests of what draws them."""

from __future__ import annotations

import pytest

from bellwire.telemetry.trace_file import SpanRecord

TRACE_ID = "5b8aa5a2d2c872e8321cf37308d69df2"
START_UNIX_NANO = 1_700_000_000_000_000_000

_ROWS = [
    # id, parent, name, kind, service, pid, start µs, end µs
    ("a", "", "send bars.1h", "PRODUCER", "agents/feed-0", 4121, 0, 900),
    ("b", "a", "route bars.1h", "INTERNAL", "coordinator", 4119, 310, 350),
    ("c", "a", "process bars.1h", "CONSUMER", "agents/rules-0", 4122, 800, 1700),
    ("d", "c", "send signals.tactical", "PRODUCER", "agents/rules-0", 4122, 1100, 1600),
    ("f", "d", "process signals.tactical", "CONSUMER", "agents/risk-0", 4123, 1700, 2600),
    ("g", "f", "send orders.paper", "PRODUCER", "agents/risk-0", 4123, 2000, 2500),
    ("h", "g", "process orders.paper", "CONSUMER", "agents/paper-0", 4124, 2700, 3100),
    ("j", "g", "send executions.paper", "PRODUCER", "agents/paper-0", 4124, 6100, 6800),
]


@pytest.fixture
def bar_to_fill_spans() -> list[SpanRecord]:
    """Return the spans, in no useful order."""
    return [
        SpanRecord(
            trace_id=TRACE_ID,
            span_id=span_id.rjust(16, "0"),
            parent_span_id=parent.rjust(16, "0") if parent else "",
            name=name,
            kind=kind,
            service_name=service,
            process_pid=pid,
            start_unix_nano=START_UNIX_NANO + start * 1000,
            end_unix_nano=START_UNIX_NANO + end * 1000,
        )
        for span_id, parent, name, kind, service, pid, start, end in reversed(_ROWS)
    ]
