"""bellwire.client._direct_packet: what a subscriber takes from a publisher that nobody has looked at."""

from __future__ import annotations

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import Deliveries, Delivery
from bellwire.client._direct_packet import encode_packet, may_be_sent
from bellwire.wire.batch import encode_batch


def sent() -> Delivery:
    batch = encode_batch("ticks", 0, [Message(id="1")], producer_id=3)
    return Deliveries.FromString(encode_packet([batch])).deliveries[0]


def test_what_the_writer_encodes_may_be_sent():
    assert may_be_sent(sent())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_offset", 5),
        ("first_delivery_tag", 1),
        ("attempt", 1),
        ("replayed", True),
        ("principal", "root"),
        ("dropped_messages", 7),
        ("log_id", 1),
    ],
)
def test_what_the_coordinator_alone_says_may_not(field, value):
    delivery = sent()
    setattr(delivery, field, value)
    assert not may_be_sent(delivery)


@pytest.mark.parametrize("count", [0, 1_001, 4_000_000_000])
def test_nor_a_count_by_which_nothing_would_be_held_back_or_everything(count):
    delivery = sent()
    delivery.batch.header.message_count = count
    assert not may_be_sent(delivery)


def test_nor_plain_messages():
    delivery = sent()
    delivery.batch.messages.add(id="2")
    assert not may_be_sent(delivery)
