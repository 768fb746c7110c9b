"""bellwire.wire.window: hard limits, counted in messages and bytes."""

from __future__ import annotations

import pytest

from bellwire.bus.v1 import message_pb2
from bellwire.wire.errors import InvalidWindowError
from bellwire.wire.window import WINDOW_BYTES_MAX, Window, check_window

MESSAGE_BYTES_MAX = 1000


def test_both_limits_hold_alone():
    window = Window(2, 100)
    assert window.fits(2, 100)
    assert not window.fits(3, 1)
    assert not window.fits(1, 101)


def test_what_is_taken_is_gone_until_given_back():
    window = Window(2, 100)
    window.take(2, 60)
    assert (window.messages_free, window.bytes_free) == (0, 40)
    assert not window.fits(1, 1)
    window.give_back(1, 30)
    assert window.fits(1, 70)


def test_a_limit_lowered_below_what_is_in_flight_leaves_no_room_and_takes_nothing_back():
    window = Window(10, 1000)
    window.take(5, 500)
    window.resize(3, 200)
    assert (window.messages_free, window.bytes_free) == (0, 0)
    window.give_back(3, 400)
    assert (window.messages_free, window.bytes_free) == (1, 100)


@pytest.mark.parametrize("messages", [0, 1_000_001, 2**32 - 1])
def test_a_window_of_no_or_too_many_messages_is_refused(messages):
    window = message_pb2.Window(messages=messages, bytes=MESSAGE_BYTES_MAX)
    with pytest.raises(InvalidWindowError, match=f"window of {messages} messages") as caught:
        check_window(window, MESSAGE_BYTES_MAX)
    assert caught.value.metadata == {"messages": str(messages)}


@pytest.mark.parametrize("size", [0, MESSAGE_BYTES_MAX - 1, WINDOW_BYTES_MAX + 1, 2**64 - 1])
def test_a_window_the_largest_message_could_not_pass_is_refused(size):
    with pytest.raises(InvalidWindowError, match=f"window of {size} bytes.*may have 1000 bytes"):
        check_window(message_pb2.Window(messages=1, bytes=size), MESSAGE_BYTES_MAX)


@pytest.mark.parametrize("messages", [1, 1_000_000])
@pytest.mark.parametrize("size", [MESSAGE_BYTES_MAX, WINDOW_BYTES_MAX])
def test_the_edges_are_allowed(messages, size):
    check_window(message_pb2.Window(messages=messages, bytes=size), MESSAGE_BYTES_MAX)
