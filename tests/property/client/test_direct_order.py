"""bellwire.client._direct_order: two ways that race, and one order at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.bus.v1.direct_pb2 import DirectPartition, DirectRoute, DirectSkip
from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import Delivery
from bellwire.client._direct_order import ENDED_WAITING_MAX, DirectOrder
from bellwire.wire.batch import encode_batch

ROUTE = 7
PRODUCER = 3
TOPIC = "ticks"


def delivery(base: int, count: int, offset: int = -1) -> Delivery:
    messages = [Message(id=f"{base + index:036d}") for index in range(count)]
    batch = encode_batch(TOPIC, 0, messages)
    batch.header.producer_id = PRODUCER
    batch.header.base_sequence = base
    return Delivery(batch=batch, first_offset=offset)


def announcement(next_sequence: int = 0) -> DirectRoute:
    partition = DirectPartition(topic=TOPIC, partition=0, next_sequence=next_sequence)
    return DirectRoute(route_id=ROUTE, token=1, producer_id=PRODUCER, partitions=[partition])


def skip_to(sequence: int) -> DirectSkip:
    return DirectSkip(producer_id=PRODUCER, topic=TOPIC, next_sequence=sequence)


def sequences(deliveries: list[Delivery]) -> list[int]:
    return [
        sequence
        for item in deliveries
        for sequence in range(
            item.batch.header.base_sequence,
            item.batch.header.base_sequence + item.batch.header.message_count,
        )
    ]


@dataclass
class Ways:
    """The socket and the stream, each in its own order, and what came of both."""

    order: DirectOrder = field(default_factory=DirectOrder)
    socket: list[Delivery] = field(default_factory=list)
    stream: list[Delivery | DirectRoute | DirectSkip] = field(default_factory=list)
    handed_over: list[Delivery] = field(default_factory=list)

    def read_socket(self) -> None:
        self.handed_over += self.order.direct(ROUTE, self.socket.pop(0))

    def read_stream(self) -> None:
        frame = self.stream.pop(0)
        if isinstance(frame, DirectRoute):
            self.handed_over += self.order.announced(frame)
        elif isinstance(frame, DirectSkip):
            self.handed_over += self.order.skip(frame)
        else:
            while self.order.awaits_route(frame) and self.socket:
                self.read_socket()
            self.handed_over += self.order.relayed(frame)


ways_of_batches = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["direct", "relayed", "dropped"])), max_size=30
)


@settings(max_examples=300)
@given(ways_of_batches, st.data())
def test_whatever_way_each_batch_takes_they_come_in_order_and_once(batches, data):
    ways = Ways(stream=[announcement()])
    base, expected, gap = 0, [], False
    for count, way in batches:
        if way == "direct":
            ways.socket.append(delivery(base, count))
            if gap:  # The coordinator says so when it steps over the batch.
                ways.stream.append(skip_to(base))
            gap = False
        elif way == "relayed":
            ways.stream.append(delivery(base, count, offset=base))
        else:
            gap = True
        if way != "dropped":
            expected += range(base, base + count)
        base += count
    while ways.socket or ways.stream:
        # A publisher writes into the socket first: what is on the stream cannot be far ahead of it.
        may_read_stream = bool(ways.stream)
        if ways.socket and (not may_read_stream or data.draw(st.booleans())):
            ways.read_socket()
        else:
            ways.read_stream()
    assert sequences(ways.handed_over) == expected
    assert ways.order.messages_held == 0


def test_what_comes_before_its_announcement_waits_for_it():
    order = DirectOrder()
    assert order.direct(ROUTE, delivery(5, 2)) == []
    assert order.messages_held == 2
    assert sequences(order.announced(announcement(5))) == [5, 6]


def test_what_is_held_when_its_route_ends_still_waits_for_what_is_before_it():
    order = DirectOrder()
    order.announced(announcement())
    assert order.direct(ROUTE, delivery(3, 1)) == []
    order.ended(ROUTE)
    assert sequences(order.relayed(delivery(0, 3, offset=0))) == [0, 1, 2, 3]


@pytest.mark.parametrize("heard_first", [True, False])
def test_what_was_refused_and_comes_again_with_another_sequence_is_known_by_its_ids(heard_first):
    order = DirectOrder()
    order.announced(announcement())
    refused = delivery(4, 2)
    assert order.direct(ROUTE, refused) == []
    if heard_first:
        order.ended(ROUTE)
    order.refused(ROUTE)
    order.announced(announcement())
    again = delivery(4, 2, offset=9)
    again.batch.header.base_sequence = 0
    assert order.relayed(again, brought=True) == [refused, again]
    assert order.relayed(again, brought=True) == [again]
    assert order.messages_held == 0


def test_a_delivery_made_again_is_handed_over_whatever_its_sequence():
    order = DirectOrder()
    order.announced(announcement(10))
    again = delivery(2, 1, offset=2)
    again.attempt = 1
    assert order.relayed(again) == [again]


def test_what_is_held_stays_so_when_another_route_begins_before_what_it_waits_for():
    order = DirectOrder()
    order.announced(announcement())
    assert order.direct(ROUTE, delivery(3, 1)) == []
    order.ended(ROUTE)
    other = announcement()
    other.route_id = ROUTE + 1
    assert order.announced(other) == []
    assert sequences(order.relayed(delivery(0, 3, offset=0))) == [0, 1, 2, 3]


def test_what_came_and_ended_before_its_partition_was_announced_is_handed_over_then():
    order = DirectOrder()
    early = delivery(5, 2)
    assert order.direct(ROUTE, early) == []
    order.ended(ROUTE)
    assert order.announced(announcement(5)) == [early]
    assert order.messages_held == 0
    assert order._sequences == {}


def test_what_is_held_of_a_producer_that_had_to_begin_anew_is_known_by_its_ids():
    order = DirectOrder()
    order.announced(announcement())
    held = delivery(4, 2)
    assert order.direct(ROUTE, held) == []
    order.refused(ROUTE)
    again = delivery(4, 2, offset=9)
    again.batch.header.producer_id = PRODUCER + 1
    again.batch.header.base_sequence = 0
    again.batch.header.direct_routes.append(ROUTE)
    assert order.relayed(again, brought=True) == [held, again]
    assert order._sequences == {}


def test_what_is_held_and_does_not_open_harms_nobody_else():
    order = DirectOrder()
    order.announced(announcement())
    damaged = delivery(4, 2)
    damaged.batch.header.crc32 ^= 1
    assert order.direct(ROUTE, damaged) == []
    order.refused(ROUTE)
    again = delivery(4, 2, offset=9)
    assert order.relayed(again, brought=True) == [again]


def test_publishers_that_go_with_something_held_keep_nobody_from_reading_and_are_given_up_at_last():
    order = DirectOrder()
    given_up: list[Delivery] = []
    for index in range(ENDED_WAITING_MAX + 2):
        route = announcement()
        route.route_id, route.producer_id = ROUTE + index, PRODUCER + index
        held = delivery(3, 1)
        held.batch.header.producer_id = route.producer_id
        order.announced(route)
        assert order.direct(route.route_id, held) == []
        assert order.messages_held == 1
        given_up += order.ended(route.route_id)
        assert order.messages_held == 0
    assert [item.batch.header.producer_id for item in given_up] == [PRODUCER, PRODUCER + 1]
    assert len(order._sequences) == ENDED_WAITING_MAX
    again = announcement()
    again.route_id, again.producer_id = ROUTE - 1, PRODUCER + 2
    assert order.announced(again) == []
    assert order.messages_held == 1
