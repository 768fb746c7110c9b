"""The schedule and the loop that follows it, on a clock that only moves when told."""

from tests.benchmarks.open_loop import (
    BURST_MESSAGES_MAX,
    NANOSECONDS_PER_SECOND,
    Schedule,
    SendReport,
    run_open_loop,
)

MILLISECOND = 1_000_000
START_NS = 5 * NANOSECONDS_PER_SECOND


class ManualClock:
    """Time stands still but for what a send costs and for waiting."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns
        self.waits: list[int] = []

    def __call__(self) -> int:
        return self.now_ns

    async def wait_until(self, deadline_ns: int) -> None:
        self.waits.append(deadline_ns)
        self.now_ns = max(self.now_ns, deadline_ns)


Sends = list[tuple[int, int, int]]


async def run(
    schedule: Schedule,
    clock: ManualClock,
    costs_ns: dict[int, int] | None = None,
    give_up_ns: int = 1 << 62,
) -> tuple[SendReport, Sends]:
    sent: Sends = []

    async def send(index: int, intended_ns: int, began_ns: int) -> None:
        sent.append((index, intended_ns, began_ns))
        clock.now_ns += (costs_ns or {}).get(index, 0)

    report = await run_open_loop(
        schedule, send, wait_until=clock.wait_until, give_up_ns=give_up_ns, clock=clock
    )
    return report, sent


async def test_a_system_that_keeps_up_is_sent_each_message_at_its_intended_time():
    clock = ManualClock()
    report, sent = await run(Schedule(START_NS, 1_000, 20), clock)
    assert [began_ns for _, _, began_ns in sent] == [
        START_NS + index * MILLISECOND for index in range(20)
    ]
    assert list(report.lateness_ns) == [0] * 20
    assert (report.sent, report.unsent) == (20, 0)


async def test_a_stall_is_charged_to_every_message_it_held_up():
    stall_ms = 50
    clock = ManualClock()
    report, sent = await run(Schedule(START_NS, 1_000, 100), clock, {10: stall_ms * MILLISECOND})
    late_ms = [late / MILLISECOND for late in report.lateness_ns]
    assert late_ms[:11] == [0] * 11
    # Message 11 was due 1 ms into the stall and waited for the other 49, and so on.
    assert late_ms[11:61] == list(range(49, -1, -1))
    assert late_ms[61:] == [0] * 39
    assert [index for index, _, _ in sent] == list(range(100))
    assert [intended for _, intended, _ in sent] == [
        START_NS + index * MILLISECOND for index in range(100)
    ]


async def test_a_backlog_leaves_in_bursts_with_the_event_loop_run_in_between():
    clock = ManualClock()
    messages = 10 * BURST_MESSAGES_MAX
    await run(Schedule(START_NS, 1_000, messages), clock, {0: NANOSECONDS_PER_SECOND})
    assert len(clock.waits) >= messages / BURST_MESSAGES_MAX


async def test_a_saturated_system_ends_at_the_give_up_time_and_the_rest_is_unsent():
    clock = ManualClock()
    give_up_ns = START_NS + 200 * MILLISECOND
    costs_ns = dict.fromkeys(range(1_000), 4 * MILLISECOND)
    report, sent = await run(Schedule(START_NS, 1_000, 100), clock, costs_ns, give_up_ns)
    assert (report.sent, report.unsent) == (50, 50)
    assert len(sent) == len(report.lateness_ns) == 50
