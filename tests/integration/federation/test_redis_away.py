"""Redis killed, and back: what is ours goes on, what is others' ends with its record, and all is found again."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.integration.coordinator.frames import refusal, within
from tests.integration.federation.conftest import sites_on

from bellwire.agent.v1 import invocation_pb2
from bellwire.testing.redis import RunningRedis
from bellwire.wire.errors import AgentExistsError, NoCapableAgentError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]

TTL_SECONDS = 1.5  # Of these groups.


async def test_redis_is_killed_and_comes_back_empty(kafka: str, own_redis: RunningRedis):
    async with sites_on(kafka, own_redis.url) as sites:
        here, there = await sites.open(), await sites.open()
        mine, theirs = await here.register("mine", "local"), await there.register("theirs")
        await here.knows("mine", "theirs")
        await asyncio.to_thread(own_redis.kill)
        killed_at = time.monotonic()

        calling = here.invoke()  # Its record is still believed.
        await theirs.answer(await theirs.next_call())
        assert (await within(calling)).agent_id == "theirs"
        calling = here.invoke("local")
        await mine.answer(await mine.next_call())
        await within(calling)
        late = await here.register("late", "local")  # Nobody can check its id.

        await here.knows("late", "mine")
        assert time.monotonic() - killed_at < 2 * TTL_SECONDS + 1
        assert isinstance(await refusal(here.invoke()), NoCapableAgentError)
        pinned = invocation_pb2.Routing(
            policy=invocation_pb2.ROUTING_POLICY_PINNED, agent_id="late"
        )
        calling = here.invoke("local", routing=pinned)
        await late.answer(await late.next_call())
        await within(calling)

        await asyncio.to_thread(own_redis.start)
        await here.knows("late", "mine", "theirs")
        await there.knows("late", "mine", "theirs")
        calling = here.invoke()
        await theirs.answer(await theirs.next_call())
        assert (await within(calling)).agent_id == "theirs"


async def test_an_id_that_was_taken_twice_meanwhile_is_one_again_afterwards(
    kafka: str, own_redis: RunningRedis
):
    async with sites_on(kafka, own_redis.url) as sites:
        here, there = await sites.open(), await sites.open()
        await asyncio.to_thread(own_redis.kill)
        streams = {site: await site.register("twin") for site in (here, there)}
        await asyncio.to_thread(own_redis.start)
        ends = {
            asyncio.ensure_future(stream.ended_with()): site for site, stream in streams.items()
        }
        done, pending = await asyncio.wait(ends, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        (lost,), (lives,) = done, pending
        error = lost.result()
        assert isinstance(error, AgentExistsError)
        winner, loser = ends[lives], ends[lost]
        assert error.metadata["coordinator"] == winner.address
        for site in (winner, loser):
            (status,) = await site.knows("twin")
            assert status.coordinator == winner.address
        lives.cancel()
        await asyncio.gather(lives, return_exceptions=True)


async def test_a_redis_that_hangs_holds_up_no_registration_for_long(
    kafka: str, own_redis: RunningRedis
):
    async with sites_on(kafka, own_redis.url) as sites:
        here = await sites.open()
        own_redis.hang()
        try:
            began = time.monotonic()
            for number in range(20):
                await here.register(f"a-{number}")
            assert time.monotonic() - began < 3 * TTL_SECONDS
        finally:
            own_redis.resume()
        other = await sites.open()
        await other.knows(*(f"a-{number}" for number in range(20)))
