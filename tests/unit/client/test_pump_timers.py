"""A stream over the socket lane that waits for a time: event loops round it, and may wake too early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bellwire.client._pump import _CallbackPump


class Loop:
    """A clock that is moved by hand, and timers that are fired by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pending: list[Timer] = []
        self.call_soon = asyncio.get_running_loop().call_soon

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        self.pending.append(Timer(self, at, callback))
        return self.pending[-1]


class Timer:
    def __init__(self, loop: Loop, at: float, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self.at = at

    def cancel(self) -> None:
        if self in self._loop.pending:
            self._loop.pending.remove(self)

    def fire(self) -> None:
        self._loop.pending.remove(self)
        self._callback()


class Call:
    is_full = False

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, frame: str) -> None:
        self.sent.append(frame)


class Feed:
    """Has one frame, at a time."""

    name = "feed"

    def __init__(self, due: float) -> None:
        self._due: float | None = due

    def next_frame(self, now: float) -> str | None:
        if self._due is None or now < self._due:
            return None
        self._due = None
        return "frame"

    def has_more(self) -> bool:
        return True

    def wake_at(self, now: float) -> float | None:
        return self._due

    def may_end(self) -> bool:
        return False


async def test_what_is_due_is_sent_although_its_timer_fired_too_early() -> None:
    call: Any = Call()
    feed: Any = Feed(due=1.0)
    pump = _CallbackPump(call, feed)
    loop: Any = Loop()
    pump._loop = loop
    pump.wake()
    (timer,) = loop.pending
    loop.now = timer.at - 0.0004
    timer.fire()
    await asyncio.sleep(0)
    assert call.sent == []
    (again,) = loop.pending
    loop.now = again.at
    again.fire()
    assert call.sent == ["frame"]


async def test_a_timer_that_fires_sooner_than_needed_serves_as_well() -> None:
    call: Any = Call()
    feed: Any = Feed(due=1.0)
    pump = _CallbackPump(call, feed)
    loop: Any = Loop()
    pump._loop = loop
    pump.wake()
    await asyncio.sleep(0)
    pump.wake()
    assert [timer.at for timer in loop.pending] == [1.0]
