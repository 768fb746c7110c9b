"""Sends by a schedule, whatever the system under test does.

A sender that falls behind sends its backlog at once and does not move the schedule, so that one
stall is charged to every message it held up.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bellwire.cli.loadtest.histogram import LatencyHistogram
from bellwire.cli.loadtest.schedule import Schedule

__all__ = ["BURST_MESSAGES_MAX", "SendReport", "run_open_loop"]

# A late sender catches up in bursts of this many messages and lets the event loop do its I/O in
# between; otherwise a client that never suspends would hold everything back to the end. Below the
# client's batch, so that bursts that wait for room keep their order.
BURST_MESSAGES_MAX: Final = 64

Send = Callable[[int, int], Awaitable[bool]]
WaitUntil = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class SendReport:
    """What the generator did. Lateness is the actual start of a send minus its intended time."""

    sent: int = 0
    lateness: LatencyHistogram = field(default_factory=LatencyHistogram)


async def run_open_loop(
    schedule: Schedule,
    send: Send,
    report: SendReport,
    *,
    wait_until: WaitUntil,
    is_over: Callable[[int], bool],
    clock: Callable[[], int] = time.monotonic_ns,
) -> None:
    """Call `send(first, end)` for what is due, and keep the report up to date.

    Args:
        schedule: When each message ought to leave.
        send: Hands messages `first` up to and without `end` over. It may suspend for room; what
            waits behind it is late. False = they were not sent, and nothing more shall be.
        report: Filled while it runs.
        wait_until: Suspends until a time of `clock`, or shorter; yields to the event loop even if
            it is past.
        is_over: Tells at a time whether the rest stays unsent, so that a saturated system ends.
        clock: Monotonic nanoseconds.
    """
    while report.sent < schedule.count:
        await wait_until(schedule.intended_ns(report.sent))
        now_ns = clock()
        if is_over(now_ns):
            return
        first = report.sent
        end = min(schedule.due_count(now_ns), first + BURST_MESSAGES_MAX)
        if end <= first:
            continue
        intended = [schedule.intended_ns(index) for index in range(first, end)]
        if not await send(first, end):
            return
        report.sent = end
        report.lateness.add_all([now_ns - intended_ns for intended_ns in intended])
