"""A message that goes through a Kafka record comes back as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.cloud_events import (
    ESCAPE,
    NANOS_MAX,
    NO_SOURCE,
    NO_TYPE,
    CloudEventError,
    format_time,
    headers_of,
    key_of,
    message_of,
    parse_time,
)

TEXTS = st.text(max_size=12)
NAMES = TEXTS | st.sampled_from(
    ["ce_id", "ce_time", "traceparent", "content-type", "ce_custom", ESCAPE, f"{ESCAPE}x", ""]
)
NANOS = st.integers(0, NANOS_MAX)
MESSAGES = st.builds(
    Message,
    id=st.text(min_size=1, max_size=36),
    source=TEXTS.filter(lambda text: text != NO_SOURCE),
    type=TEXTS.filter(lambda text: text != NO_TYPE),
    subject=TEXTS,
    key=TEXTS,
    time_unix_nano=NANOS,
    expire_time_unix_nano=NANOS,
    not_before_time_unix_nano=NANOS,
    correlation_id=TEXTS,
    causation_id=TEXTS,
    traceparent=TEXTS,
    tracestate=TEXTS,
    schema=TEXTS,
    attributes=st.dictionaries(NAMES, TEXTS, max_size=5),
    data=st.binary(max_size=50),
)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    headers = headers_of(message)
    assert len({name for name, _ in headers}) == len(headers)
    assert message_of(key_of(message), message.data, headers) == message


@given(NANOS)
def test_a_time_keeps_its_nanoseconds(nanos: int) -> None:
    assert parse_time("ce_time", format_time(nanos)) == nanos


@given(
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=9),
    st.lists(
        st.tuples(
            st.sampled_from(["ce_specversion", "ce_id", "ce_time", "content-type"]) | TEXTS,
            st.sampled_from([b"1.0", b"x", b"2026-01-01T00:00:00Z"]) | st.binary(max_size=12),
        ),
        max_size=6,
    ),
)
def test_anything_else_is_refused_with_a_reason_or_read(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    try:
        message = message_of(key, value, headers)
    except CloudEventError:
        return
    assert message.id
    assert message_of(key_of(message), message.data, headers_of(message)) == message
