"""A conversation that waits for a time: event loops round it, and may wake too early."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.client.test_pump_timers import Loop

from bellwire.coordinator.lane import driver as driver_module
from bellwire.coordinator.lane.driver import Driver
from bellwire.coordinator.lane.turns import Turns
from bellwire.coordinator.services.conversation import Conversation


class Line:
    is_full = False
    is_held = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, _: int, body: bytes) -> None:
        self.sent.append(body)


class Later(Conversation):
    """Has one frame, at a time."""

    is_finished = False

    def __init__(self, due: float) -> None:
        super().__init__()
        self._due: float | None = due

    def take(self, request: Any, now: float, now_ns: int) -> None:
        raise AssertionError("nobody speaks")

    def end(self) -> None:
        raise AssertionError("nobody ends")

    def next_frame(self, now: float, now_ns: int) -> bytes | None:
        self.retry_at = self._due
        if self._due is None or now < self._due:
            return None
        self._due = None
        return b"frame"


class Clock(Loop):
    """A loop that also counts from now, as the driver does."""

    def call_later(self, seconds: float, callback: Any) -> Any:
        return self.call_at(self.now + seconds, callback)

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return round(self.now * 1e9)


async def test_what_is_due_is_sent_although_its_timer_fired_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line: Any = Line()
    clock: Any = Clock()
    driver = Driver(Turns(), line, Later(due=1.0), bytes, bytes)
    driver._loop = clock
    monkeypatch.setattr(driver_module, "time", clock)
    driver.pump()
    (timer,) = clock.pending
    clock.now = timer.at - 0.0004
    timer._callback()
    clock.pending.remove(timer)
    driver.pump()  # The turn that the timer asked for.
    assert line.sent == []
    (again,) = clock.pending
    clock.now = again.at
    driver.pump()
    assert line.sent == [b"frame"]
