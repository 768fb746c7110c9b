"""Random life of a window against two plain lists of what is out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bellwire.bus.v1 import message_pb2
from bellwire.wire.errors import InvalidWindowError
from bellwire.wire.window import WINDOW_BYTES_MAX, WINDOW_MESSAGES_MAX, Window, check_window

MESSAGES = st.integers(0, 8)
SIZES = st.integers(0, 800)


class WindowMachine(RuleBasedStateMachine):
    """Messages and bytes come back apart, as when the last message of a block frees all of its bytes."""

    @initialize(messages=MESSAGES, size=SIZES)
    def begin(self, messages: int, size: int) -> None:
        self.window = Window(messages, size)
        self.limits = (messages, size)
        self.messages: list[int] = []
        self.sizes: list[int] = []

    @rule(messages=MESSAGES, size=SIZES)
    def take_if_it_fits(self, messages: int, size: int) -> None:
        fits = (
            sum(self.messages) + messages <= self.limits[0]
            and sum(self.sizes) + size <= self.limits[1]
        )
        assert self.window.fits(messages, size) == fits
        if fits:
            self._take(messages, size)

    @rule(more=st.booleans())
    def take_all_that_is_free(self, more: bool) -> None:
        messages, size = self.window.messages_free, self.window.bytes_free
        assert not self.window.fits(messages + 1, 0)
        assert not self.window.fits(0, size + 1)
        if self.window.fits(messages, size):
            self._take(messages, size)

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 99))
    def messages_come_back(self, which: int) -> None:
        self.window.give_back(self.messages.pop(which % len(self.messages)), 0)

    @precondition(lambda self: self.sizes)
    @rule(which=st.integers(0, 99))
    def bytes_come_back(self, which: int) -> None:
        self.window.give_back(0, self.sizes.pop(which % len(self.sizes)))

    @rule(messages=MESSAGES, size=SIZES)
    def resize(self, messages: int, size: int) -> None:
        self.window.resize(messages, size)
        self.limits = (messages, size)

    @invariant()
    def its_sums_are_those_of_what_is_out(self) -> None:
        if not hasattr(self, "window"):
            return
        window = self.window
        assert window.messages_in_flight == sum(self.messages)
        assert window.bytes_in_flight == sum(self.sizes)
        assert (window.messages_max, window.bytes_max) == self.limits
        assert window.messages_free == max(0, self.limits[0] - sum(self.messages))
        assert window.bytes_free == max(0, self.limits[1] - sum(self.sizes))

    def teardown(self) -> None:
        """When all is back nothing is out: no sum drifts."""
        if not hasattr(self, "window"):
            return
        self.window.give_back(sum(self.messages), sum(self.sizes))
        assert (self.window.messages_in_flight, self.window.bytes_in_flight) == (0, 0)
        assert self.window.fits(*self.limits)

    def _take(self, messages: int, size: int) -> None:
        self.window.take(messages, size)
        self.messages.append(messages)
        self.sizes.append(size)
        assert sum(self.messages) <= self.limits[0]
        assert sum(self.sizes) <= self.limits[1]


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=100, stateful_step_count=40)


@given(
    st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, WINDOW_MESSAGES_MAX, 2**32 - 1]),
    st.integers(0, 2**64 - 1) | st.sampled_from([WINDOW_BYTES_MAX, WINDOW_BYTES_MAX + 1]),
    st.integers(1, 1 << 20),
)
def test_a_window_is_refused_exactly_when_it_is_out_of_bounds(
    messages: int, size: int, message_bytes_max: int
):
    asked = message_pb2.Window(messages=messages, bytes=size)
    if 1 <= messages <= WINDOW_MESSAGES_MAX and message_bytes_max <= size <= WINDOW_BYTES_MAX:
        check_window(asked, message_bytes_max)
        return
    with pytest.raises(InvalidWindowError):
        check_window(asked, message_bytes_max)
