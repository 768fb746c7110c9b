"""Records of Kafka read without the bus."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiokafka import ConsumerRecord

from bellwire.client.kafka import (
    BusOrigin,
    CloudEventError,
    decode,
    decode_record,
    origin_of,
    payload_of,
)
from bellwire.trading.v1.order_pb2 import OrderRequest
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.cloud_events import headers_of, key_of
from bellwire.wire.message import new_message

SIGNAL = Signal(symbol="EURUSD")
MESSAGE = new_message(
    data=SIGNAL.SerializeToString(),
    type=Signal.DESCRIPTOR.full_name,
    key="EURUSD",
    source="rules-0",
)
ORIGIN = BusOrigin("desk", "signals.tactical", 3, 17)
HEADERS = [*headers_of(MESSAGE), *ORIGIN.headers()]


def test_a_record_of_aiokafka_is_a_message_and_a_payload() -> None:
    record = ConsumerRecord(
        "t", 0, 5, 0, 0, key_of(MESSAGE), MESSAGE.data, None, 6, 9, headers=tuple(HEADERS)
    )
    message = decode_record(record)
    assert message == MESSAGE
    assert payload_of(message, Signal) == SIGNAL


def test_the_way_over_the_bridge_is_told_apart_from_the_message() -> None:
    assert origin_of(HEADERS) == ORIGIN
    assert origin_of(headers_of(MESSAGE)) is None
    assert origin_of(None) is None


def test_records_of_a_durable_topic_are_read_as_well() -> None:
    headers = [*headers_of(MESSAGE), ("bellwire_offset", b"4"), ("bellwire_batch", b"{}")]
    assert decode(key_of(MESSAGE), MESSAGE.data, headers) == MESSAGE
    assert origin_of(headers) is None


@pytest.mark.parametrize("headers", [None, [], [("ce_specversion", None)]])
def test_what_is_no_message_says_so(headers: list[tuple[str, bytes | None]] | None) -> None:
    with pytest.raises(CloudEventError, match="no CloudEvent in binary mode"):
        decode(b"k", b"v", headers)


def test_another_type_is_not_taken_for_the_one_asked_for() -> None:
    with pytest.raises(CloudEventError, match=r"of type 'bellwire\.trading\.v1\.Signal', not "):
        payload_of(MESSAGE, OrderRequest)


def test_bytes_that_are_not_of_their_type_say_so() -> None:
    message = new_message(data=b"\xff\xff", type=Signal.DESCRIPTOR.full_name)
    with pytest.raises(CloudEventError, match="its 2 bytes are none"):
        payload_of(message, Signal)


def test_the_decoder_needs_no_kafka_client() -> None:
    code = "import sys, bellwire.client.kafka; sys.exit('aiokafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
