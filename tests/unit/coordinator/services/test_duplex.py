"""bellwire.coordinator.services.duplex: bounded outboxes, and streams whose two sides end together."""

from __future__ import annotations

import asyncio

import pytest

from bellwire.coordinator.services.duplex import Outbox, check_first_arm, run_both
from bellwire.wire.errors import CallerError, CapacityError, UnknownFrameError

SOON = 0.001
FOREVER = 30.0


async def test_frames_come_out_in_the_order_they_went_in():
    outbox: Outbox[int] = Outbox(3)
    for frame in (1, 2, 3):
        outbox.put(frame)
    assert outbox.last == 3
    assert [await outbox.take(FOREVER) for _ in range(3)] == [1, 2, 3]
    assert outbox.last is None


async def test_taking_waits_for_a_frame():
    outbox: Outbox[int] = Outbox(3)
    waiting = asyncio.create_task(outbox.take(FOREVER))
    await asyncio.sleep(0)
    outbox.put(1)
    async with asyncio.timeout(5):
        assert await waiting == 1


async def test_nothing_in_time_is_a_timeout():
    with pytest.raises(TimeoutError):
        await Outbox[int](3).take(SOON)


async def test_a_closed_outbox_gives_what_it_has_and_then_none():
    outbox: Outbox[int] = Outbox(3)
    outbox.put(1)
    outbox.close()
    assert [await outbox.take(FOREVER) for _ in range(2)] == [1, None]


async def test_one_frame_too_many_is_dropped_and_breaks_the_stream_of_who_does_not_read():
    outbox: Outbox[int] = Outbox(2)
    for frame in (1, 2, 3, 4):
        outbox.put(frame)
    assert len(outbox) == 2
    with pytest.raises(CapacityError, match="left 2 frames unread, limit is 2"):
        await outbox.broken


async def ends() -> None:
    return None


async def fails() -> None:
    raise CallerError("wrong")


class Hanging:
    """A side that hangs until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = False

    async def side(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_stream_ends_when_both_sides_have():
    async with asyncio.timeout(5):
        await run_both(ends(), ends())


@pytest.mark.parametrize("first_fails", [True, False])
async def test_a_side_that_fails_takes_the_other_with_it(first_fails: bool):
    hanging = Hanging()
    reader, writer = (fails(), hanging.side()) if first_fails else (hanging.side(), fails())
    async with asyncio.timeout(5):
        with pytest.raises(CallerError, match="wrong"):
            await run_both(reader, writer)
    assert hanging.cancelled


async def test_a_broken_stream_ends_even_while_both_sides_hang():
    one, other = Hanging(), Hanging()
    outbox: Outbox[int] = Outbox(1)
    asyncio.get_running_loop().call_soon(outbox.break_off, CapacityError("too slow"))
    async with asyncio.timeout(5):
        with pytest.raises(CapacityError, match="too slow"):
            await run_both(one.side(), other.side(), outbox.broken)
    assert one.cancelled
    assert other.cancelled


async def test_a_cancelled_stream_leaves_no_side_running():
    one, other = Hanging(), Hanging()
    stream = asyncio.create_task(run_both(one.side(), other.side(), Outbox[int](1).broken))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream
    assert one.cancelled
    assert other.cancelled


def test_the_first_frame_must_be_the_one_expected():
    check_first_arm("start", "start", "publish")
    with pytest.raises(
        CallerError, match="first frame of the publish stream is `batches`: it must"
    ):
        check_first_arm("batches", "start", "publish")
    with pytest.raises(UnknownFrameError, match="carries no arm this server knows: send `start`"):
        check_first_arm(None, "start", "publish")
