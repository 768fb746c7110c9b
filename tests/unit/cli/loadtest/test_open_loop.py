"""bellwire.cli.loadtest.open_loop on a clock that only moves when told."""

from __future__ import annotations

from bellwire.cli.loadtest.open_loop import BURST_MESSAGES_MAX, SendReport, run_open_loop
from bellwire.cli.loadtest.schedule import EvenSchedule

MILLISECOND = 1_000_000
START_NS = 5_000 * MILLISECOND


class ManualClock:
    """Time stands still but for what a send costs and for waiting."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.waits = 0

    def __call__(self) -> int:
        return self.now_ns

    async def wait_until(self, deadline_ns: int) -> None:
        self.waits += 1
        self.now_ns = max(self.now_ns, deadline_ns)


async def run(
    messages: int,
    costs_ns: dict[int, int] | None = None,
    give_up_ns: int = 1 << 62,
    refuse_from: int = 1 << 62,
) -> tuple[SendReport, list[tuple[int, int]], ManualClock]:
    clock = ManualClock()
    report = SendReport()
    bursts: list[tuple[int, int]] = []

    async def send(first: int, end: int) -> bool:
        if first >= refuse_from:
            return False
        bursts.append((first, end))
        clock.now_ns += sum((costs_ns or {}).get(index, 0) for index in range(first, end))
        return True

    await run_open_loop(
        EvenSchedule(START_NS, 1_000, messages),
        send,
        report,
        wait_until=clock.wait_until,
        is_over=lambda now_ns: now_ns >= give_up_ns,
        clock=clock,
    )
    return report, bursts, clock


async def test_a_system_that_keeps_up_is_sent_each_message_by_itself_and_in_time():
    report, bursts, _ = await run(20)
    assert bursts == [(index, index + 1) for index in range(20)]
    assert (report.sent, report.lateness.max_ns) == (20, 0)


async def test_a_stall_is_charged_to_every_message_it_held_up():
    report, bursts, _ = await run(100, {10: 50 * MILLISECOND})
    # Message 11 was due 1 ms into the stall and waited for the other 49, and so on.
    assert bursts[11] == (11, 61)
    assert report.lateness.max_ns == 49 * MILLISECOND
    assert report.lateness.count == 100
    late = sum(count for highest, count in report.lateness.to_json()["buckets"] if highest)
    assert late == 49


async def test_a_backlog_leaves_in_bursts_with_the_event_loop_run_in_between():
    messages = 10 * BURST_MESSAGES_MAX
    _, bursts, clock = await run(messages, {0: 1_000 * MILLISECOND})
    assert max(end - first for first, end in bursts) == BURST_MESSAGES_MAX
    assert clock.waits >= messages / BURST_MESSAGES_MAX


async def test_a_saturated_system_ends_at_the_give_up_time_and_the_rest_is_unsent():
    costs_ns = dict.fromkeys(range(1_000), 4 * MILLISECOND)
    report, bursts, _ = await run(100, costs_ns, START_NS + 100 * MILLISECOND)
    assert 0 < report.sent < 100
    assert report.sent == bursts[-1][1] == report.lateness.count


async def test_what_found_no_room_to_the_end_does_not_count_as_sent():
    report, bursts, _ = await run(10, refuse_from=4)
    assert (report.sent, bursts[-1], report.lateness.count) == (4, (3, 4), 4)
