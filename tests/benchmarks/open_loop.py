"""Open-loop load: messages leave by a schedule fixed beforehand, whatever the system does.

A closed loop waits for the system under test and so never sends the messages that a stall would
have delayed: coordinated omission (G. Tene, "How NOT to Measure Latency"). Here every message has
an intended send time. When the sender falls behind it sends the backlog at once, and latency is
counted from the intended time, so that one stall is charged to every message it held up.
"""

import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bellwire.cli.loadtest.schedule import EvenSchedule as Schedule

__all__ = [
    "BURST_MESSAGES_MAX",
    "NANOSECONDS_PER_SECOND",
    "Schedule",
    "SendReport",
    "run_open_loop",
]

NANOSECONDS_PER_SECOND: Final = 1_000_000_000
# A late sender catches up in bursts of this many messages and lets the event loop do its I/O in
# between; otherwise a client that never suspends would hold everything back to the end.
BURST_MESSAGES_MAX: Final = 64

Send = Callable[[int, int, int], Awaitable[None]]
WaitUntil = Callable[[int], Awaitable[None]]
Clock = Callable[[], int]


@dataclass(slots=True)
class SendReport:
    """What the generator did. Lateness is the actual start of a send minus its intended time."""

    sent: int = 0
    unsent: int = 0
    lateness_ns: "array[int]" = field(default_factory=lambda: array("q"))


async def run_open_loop(
    schedule: Schedule,
    send: Send,
    *,
    wait_until: WaitUntil,
    give_up_ns: int,
    clock: Clock = time.monotonic_ns,
) -> SendReport:
    """Call `send(index, intended_ns, began_ns)` by the schedule and report how late each call was.

    Args:
        schedule: When each message ought to leave.
        send: Hands one message over. It may suspend for room; what waits behind it is late.
        wait_until: Suspends until a time of `clock`; yields to the event loop even if it is past.
        give_up_ns: At this time the rest is counted as unsent, so that a saturated system ends.
        clock: Monotonic nanoseconds.
    """
    report = SendReport()
    while report.sent < schedule.count:
        await wait_until(schedule.intended_ns(report.sent))
        due = min(schedule.due_count(clock()), report.sent + BURST_MESSAGES_MAX)
        for index in range(report.sent, due):
            intended_ns = schedule.intended_ns(index)
            began_ns = clock()
            if began_ns >= give_up_ns:
                report.unsent = schedule.count - report.sent
                return report
            report.lateness_ns.append(began_ns - intended_ns)
            await send(index, intended_ns, began_ns)
            report.sent += 1
    return report
