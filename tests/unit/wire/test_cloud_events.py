"""Kafka records as the binding says, byte by byte, and what is refused."""

from __future__ import annotations

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.wire.cloud_events import (
    HEADERS_MAX,
    CloudEventError,
    headers_of,
    key_of,
    message_of,
    parse_time,
)

MINIMAL = [("ce_specversion", b"1.0"), ("ce_id", b"1")]


def test_a_signal_is_written_as_the_binding_says() -> None:
    signal = Message(
        id="m-1",
        source="agents/rules-0",
        type="bellwire.trading.v1.Signal",
        subject="EURUSD",
        key="EURUSD",
        time_unix_nano=1_700_000_000_000_000_005,
        correlation_id="c",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        attributes={"desk": "fx"},
        data=b"payload",
    )
    assert key_of(signal) == b"EURUSD"
    assert headers_of(signal) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"m-1"),
        ("ce_source", b"agents/rules-0"),
        ("ce_type", b"bellwire.trading.v1.Signal"),
        ("ce_subject", b"EURUSD"),
        ("ce_correlationid", b"c"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("ce_time", b"2023-11-14T22:13:20.000000005Z"),
        ("content-type", b"application/protobuf"),
        ("desk", b"fx"),
    ]


def test_what_a_foreign_producer_says_more_becomes_attributes() -> None:
    message = message_of(None, None, [*MINIMAL, ("ce_region", b"eu"), ("retry", b"2")])
    assert dict(message.attributes) == {"ce_region": "eu", "retry": "2"}
    assert (message.key, message.data, message.source) == ("", b"", "")


def test_headers_of_the_transport_are_left_out() -> None:
    message = message_of(None, b"", [*MINIMAL, ("hop", b"\xff")], ignore={"hop"})
    assert dict(message.attributes) == {}


@pytest.mark.parametrize(
    ("key", "headers", "words"),
    [
        (None, [], "header ce_specversion is '', not '1.0'"),
        (None, [("ce_specversion", b"0.3"), ("ce_id", b"1")], "is '0.3', not '1.0'"),
        (None, MINIMAL[:1], "no header ce_id"),
        (None, [*MINIMAL, ("ce_id", b"")], "no header ce_id"),
        (b"\xff", MINIMAL, "the key is not UTF-8"),
        (None, [*MINIMAL, ("ce_type", b"\xff")], "header 'ce_type' is not UTF-8"),
        (None, [*MINIMAL, ("ce_time", b"yesterday")], "is 'yesterday', not a time as in RFC 3339"),
        (None, [*MINIMAL, ("ce_time", b"2026-02-30T00:00:00Z")], "not a time as in RFC 3339"),
        (None, [*MINIMAL, ("ce_time", b"1969-12-31T23:59:59Z")], "from 1970 to 2554"),
        (None, [*MINIMAL, ("ce_time", b"9999-12-31T23:59:59Z")], "from 1970 to 2554"),
        (None, [*MINIMAL, ("content-type", b"application/cloudevents+json")], "structured mode"),
        (None, [*MINIMAL, *[("x", b"")] * HEADERS_MAX], f"more than {HEADERS_MAX} headers"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_what_is_wrong(
    key: bytes | None, headers: list[tuple[str, bytes]], words: str
) -> None:
    with pytest.raises(CloudEventError, match=words):
        message_of(key, b"x", headers)


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.5z", 500_000_000),
        ("1970-01-01T00:00:00.1234567891Z", 123_456_789),
    ],
)
def test_times_of_other_writers_are_read(text: str, nanos: int) -> None:
    assert parse_time("ce_time", text) == nanos
