"""bellwire.client._inbox: what is received and not handed over yet."""

from __future__ import annotations

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import Delivery
from bellwire.client._inbox import Inbox
from bellwire.client._lease import Lease
from bellwire.client._resume import EphemeralResume
from bellwire.wire.batch import encode_batch
from bellwire.wire.errors import BatchChecksumError

WINDOW_BYTES = 100


class Nobody:
    """Settles nothing."""

    def settle(self, *_: object) -> None: ...


def delivery(offset: int, *, damaged: bool = False) -> Delivery:
    batch = encode_batch("ticks", 0, [Message(id="1", data=b"x")])
    batch.header.crc32 ^= damaged
    return Delivery(batch=batch, first_offset=offset)


def inbox() -> Inbox:
    return Inbox(Nobody(), EphemeralResume(), 100, WINDOW_BYTES, Lease(None), lambda _: None)


def test_what_came_directly_and_does_not_open_is_stepped_over():
    box = inbox()
    box.put_direct(delivery(-1, damaged=True), 0)
    box.put_direct(delivery(-1), 0)
    batch = box.take()
    assert batch is not None
    assert batch.is_direct
    assert box.take() is None


def test_what_the_coordinator_admitted_and_does_not_open_is_an_error():
    box = inbox()
    box.put(delivery(0, damaged=True), 0)
    with pytest.raises(BatchChecksumError):
        box.take()


def test_room_for_what_comes_directly_ends_with_the_bytes_of_the_window_too():
    box = inbox()
    rooms: list[bool] = []
    box.on_room = lambda: rooms.append(box.has_room(0))
    size = delivery(-1).batch.header.uncompressed_bytes
    count = 0
    while box.has_room(0):
        box.put_direct(delivery(-1), 0)
        count += 1
    assert count == -(-WINDOW_BYTES // size) < 100
    while box.take() is not None:
        pass
    assert rooms
    assert all(rooms)
