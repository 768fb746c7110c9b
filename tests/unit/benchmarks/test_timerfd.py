"""The kernel's timer never wakes early, and yields for times that are past."""

import asyncio
import time

from tests.benchmarks.timerfd import KernelTimer


async def test_waking_is_never_before_the_deadline():
    with KernelTimer() as timer:
        for _ in range(5):
            deadline_ns = time.monotonic_ns() + 300_000
            await timer.wait_until(deadline_ns)
            assert time.monotonic_ns() >= deadline_ns


async def test_a_deadline_in_the_past_lets_other_tasks_run():
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    with KernelTimer() as timer:
        await timer.wait_until(0)
    assert ran.is_set()
