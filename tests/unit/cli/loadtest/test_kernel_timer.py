"""The kernel's timer never wakes early, and yields for times that are past."""

import asyncio
import time

from bellwire.cli.loadtest.kernel_timer import KernelTimer


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


async def test_a_wait_can_be_ended_before_its_time():
    with KernelTimer() as timer:
        asyncio.get_running_loop().call_soon(timer.wake)
        async with asyncio.timeout(5):
            await timer.wait_until(time.monotonic_ns() + 3_600_000_000_000)


async def test_a_wake_that_nobody_waits_for_is_forgotten():
    with KernelTimer() as timer:
        timer.wake()
        deadline_ns = time.monotonic_ns() + 300_000
        await timer.wait_until(deadline_ns)
        assert time.monotonic_ns() >= deadline_ns
