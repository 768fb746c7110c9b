"""Our OTLP-JSON says what OpenTelemetry's own exporter says of the same spans."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from bellwire.telemetry.otlp_json import encode_request

TEXTS = st.text(max_size=20)
SCALARS = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=True)
    | st.binary(max_size=9)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
ATTRIBUTES = st.dictionaries(TEXTS, VALUES, max_size=4)
NANOS = st.integers(1, 2**63)
STATES = st.sampled_from([TraceState(), TraceState([("a", "1"), ("b", "x=y")])])
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    STATES,
)
STATUSES = st.sampled_from([Status(), Status(StatusCode.OK)]) | st.builds(
    Status, st.just(StatusCode.ERROR), TEXTS
)
RESOURCES = [Resource({"service.name": "ä", "n": 1}, "https://schema"), Resource({})]
SCOPES = [
    InstrumentationScope("bellwire.client"),
    InstrumentationScope("other", "1.0", "https://schema", {"k": True}),
    None,
]
SPANS = st.builds(
    ReadableSpan,
    name=TEXTS,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXTS, ATTRIBUTES, NANOS), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=STATUSES,
    start_time=NANOS,
    end_time=NANOS,
    instrumentation_scope=st.sampled_from(SCOPES),
)


@given(st.lists(SPANS, max_size=5))
def test_same_as_the_reference(spans: list[ReadableSpan]) -> None:
    text = encode_request(spans)
    assert text.isascii()
    assert "\n" not in text
    ours, reference = json.loads(text), encode_spans(spans).to_dict()
    assert plain(ours) == plain(reference)


def plain(value: Any) -> Any:
    """Leave out what says nothing: empty texts, lists and objects, but not an empty value of an attribute."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: plain(each) for key, each in value.items()}
    return {
        key: each for key, each in kept.items() if each not in ("", [], {}, None) or "Value" in key
    }
