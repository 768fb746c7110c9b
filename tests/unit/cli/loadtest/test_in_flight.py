"""bellwire.cli.loadtest.in_flight: room, outcomes, and what never gets one."""

from __future__ import annotations

import asyncio

from bellwire.cli.loadtest.in_flight import InFlight
from bellwire.client import PublishedRange

Settled = list[tuple[int, int, str]]


def outcome() -> asyncio.Future[list[PublishedRange]]:
    return asyncio.get_running_loop().create_future()


def settler(settled: Settled):
    return lambda first, end, error: settled.append((first, end, type(error).__name__))


async def test_there_is_room_up_to_the_bound_and_always_for_one_burst():
    in_flight = InFlight(10)
    assert in_flight.fits(11)
    in_flight.add(outcome(), 0, 6, settler([]))
    assert (in_flight.fits(4), in_flight.fits(5)) == (True, False)


async def test_an_acknowledgement_makes_room_and_is_told():
    in_flight, settled = InFlight(1), []
    acknowledged = outcome()
    in_flight.add(acknowledged, 0, 1, settler(settled))
    acknowledged.set_result([])
    async with asyncio.timeout(5):
        assert await in_flight.settled(3_600) == []
    assert settled == [(0, 1, "NoneType")]
    assert in_flight.fits(1)


async def test_a_refusal_is_told_with_its_error():
    in_flight, settled = InFlight(1), []
    refused = outcome()
    in_flight.add(refused, 3, 5, settler(settled))
    refused.set_exception(ValueError("no"))
    async with asyncio.timeout(5):
        await in_flight.settled(3_600)
    assert settled == [(3, 5, "ValueError")]


async def test_what_gets_no_outcome_is_given_up_and_told_only_once():
    in_flight, settled = InFlight(1), []
    silent = outcome()
    in_flight.add(silent, 3, 5, settler(settled))
    assert await in_flight.settled(0.001) == [(3, 5)]
    await asyncio.sleep(0)  # Its callback runs.
    assert (silent.cancelled(), settled, in_flight.fits(1)) == (True, [], True)


async def test_a_wait_for_change_ends_when_it_is_woken():
    in_flight = InFlight(1)
    asyncio.get_running_loop().call_soon(in_flight.wake)
    async with asyncio.timeout(5):
        await in_flight.changed(3_600)
