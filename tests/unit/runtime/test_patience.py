"""bellwire.runtime.patience: silence counts, neither work nor waiting."""

import asyncio

import pytest

from bellwire.runtime.errors import AssignTimeoutError
from bellwire.runtime.patience import Patience, heard, patience, waiting


async def test_silence_ends_it_and_the_error_names_the_setting() -> None:
    with pytest.raises(AssignTimeoutError, match=r"runtime\.assign_timeout_seconds") as caught:
        async with patience(0.001):
            await asyncio.Event().wait()
    assert caught.value.seconds == 0.001


async def test_a_timeout_of_what_is_awaited_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        async with patience(60):
            raise TimeoutError("its own")


async def test_each_sign_of_life_begins_the_wait_anew() -> None:
    async with asyncio.timeout(1) as timeout:
        Patience(timeout, 60).heard()
        await asyncio.sleep(0)
        when = timeout.when()
    assert when is not None
    assert when > asyncio.get_running_loop().time() + 30


async def test_no_time_counts_while_one_waits_for_a_turn() -> None:
    async with asyncio.timeout(1) as timeout:
        current = Patience(timeout, 60)
        with current.paused():
            current.heard()
            await asyncio.sleep(0)
            assert timeout.when() is None
        assert timeout.when() is not None


async def test_one_that_is_over_is_left_alone() -> None:
    async with asyncio.timeout(1) as timeout:
        current = Patience(timeout, 60)
        await asyncio.sleep(0)
    current.end()
    current.heard()
    with current.paused():
        assert timeout.when() is not None


async def test_where_nobody_waits_nothing_is_to_be_told() -> None:
    heard()
    with waiting():
        heard()
