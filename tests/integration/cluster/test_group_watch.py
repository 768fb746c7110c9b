"""Groups that declare their topics in a real Redis, at the same moment and after it came back empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.integration.coordinator.frames import eventually

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.cluster.errors import (
    GroupRecordError,
    LeaseUnavailableError,
    TopicsTakenError,
)
from bellwire.coordinator.cluster.group_watch import Declared, GroupWatch
from bellwire.coordinator.cluster.holder import Holder
from bellwire.coordinator.cluster.redis_groups import RedisGroups
from bellwire.coordinator.cluster.redis_lease import RedisLease
from bellwire.coordinator.cluster.topic_groups import GROUPS_KEY, TopicGroups
from bellwire.testing.redis import RunningRedis

pytestmark = pytest.mark.integration

TIMES = LeaseTimes(1.5)  # Requests are bounded by a sixth of it: a busy machine must keep it.
SLOW = LeaseTimes(60.0)
WAIT_SECONDS = 10.0


class HeardGroups(RedisGroups):
    """Tells when it has read."""

    read_once: asyncio.Event

    async def read(self) -> Declared:
        found = await super().read()
        self.read_once.set()
        return found


class Watched:
    """One coordinator's view of the groups, without the coordinator."""

    def __init__(self, url: str, name: str, *topics: str, times: LeaseTimes = TIMES) -> None:
        self.groups = TopicGroups(name, topics)
        self.is_active = False
        self.changes = 0
        self.read_once = asyncio.Event()
        store = HeardGroups(url, times)
        store.read_once = self.read_once
        self.watch = GroupWatch(
            self.groups,
            store,
            times,
            is_active=lambda: self.is_active,
            on_change=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def declare(self) -> None:
        await self.watch.declare()
        self.is_active = True

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what is to be so once it has read again, a few times at most."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self.read_once.clear()
                await self.read_once.wait()


@asynccontextmanager
async def watching(
    redis: RunningRedis, times: LeaseTimes = TIMES
) -> AsyncIterator[Callable[..., Any]]:
    """A maker of views that have begun to read."""
    async with AsyncExitStack() as stack:

        async def make(name: str, *topics: str) -> Watched:
            made = Watched(redis.url, name, *topics, times=times)
            stack.push_async_callback(made.watch.close)
            await made.watch.begin(WAIT_SECONDS)
            return made

        yield make


async def test_of_many_that_want_the_same_at_once_one_gets_it(
    redis_noeviction: RunningRedis,
) -> None:
    async with watching(redis_noeviction, SLOW) as make:
        rivals = [await make(f"g{n}", "orders.>", f"own{n}.>") for n in range(6)]
        others = [await make(f"o{n}", f"other{n}.>") for n in range(6)]
        found = await asyncio.gather(
            *(one.watch.declare() for one in (*rivals, *others)), return_exceptions=True
        )
        refused = [error for error in found if error is not None]
        assert all(isinstance(error, TopicsTakenError) for error in refused)
        assert len(refused) == 5
        assert redis_noeviction.ask("HLEN", GROUPS_KEY) == "7"


async def test_a_declaration_is_heard_by_others_within_a_renewal(
    redis_noeviction: RunningRedis,
) -> None:
    async with watching(redis_noeviction) as make:
        rest = await make("rest")
        await rest.declare()
        assert rest.groups.owns("orders.new")
        orders = await make("orders", "orders.>")
        await orders.declare()
        await rest.until(lambda: not rest.groups.owns("orders.new"))
        assert rest.changes == 1


async def test_who_is_active_is_looked_up_at_once_when_somebody_asks(
    redis_noeviction: RunningRedis,
) -> None:
    me = Holder("10.0.0.1:7400", "me", 1)
    lease = RedisLease(redis_noeviction.url, "orders", me, LeaseTimes(10.0))
    async with watching(redis_noeviction) as make:
        orders = await make("orders", "orders.>")
        await orders.declare()
        rest = await make("rest")
        assert rest.groups.refusal("orders.new").owner == ""
        await lease.ask(take=True)
        await rest.until(lambda: rest.groups.refusal("orders.new").owner == me.address)
        await lease.release()
        await lease.close()


async def test_a_group_beside_one_that_serves_the_rest_waits_until_that_one_knows(
    redis_noeviction: RunningRedis,
) -> None:
    lease = RedisLease(
        redis_noeviction.url, "rest", Holder("10.0.0.1:7400", "me", 1), LeaseTimes(10.0)
    )
    await lease.ask(take=True)
    async with watching(redis_noeviction) as make:
        rest = await make("rest")
        await rest.declare()
        orders = await make("orders", "orders.>")
        began = asyncio.get_running_loop().time()
        await orders.declare()
        assert asyncio.get_running_loop().time() - began >= TIMES.ttl
        assert not rest.groups.owns("orders.new")
        began = asyncio.get_running_loop().time()
        again = await make("orders", "orders.>")
        await again.declare()  # As the next one of the group does: all know it by now.
        assert asyncio.get_running_loop().time() - began < TIMES.ttl
    await lease.release()
    await lease.close()


async def test_who_is_stopped_meanwhile_waits_no_longer(redis_noeviction: RunningRedis) -> None:
    lease = RedisLease(
        redis_noeviction.url, "rest", Holder("10.0.0.1:7400", "me", 1), LeaseTimes(10.0)
    )
    await lease.ask(take=True)
    async with watching(redis_noeviction, SLOW) as make:
        rest = await make("rest")
        await rest.declare()
        orders = await make("orders", "orders.>")
        declaring = asyncio.create_task(orders.declare())
        await eventually(
            lambda: asyncio.to_thread(redis_noeviction.ask, "HLEN", GROUPS_KEY),
            lambda count: count == "2",
        )
        assert not declaring.done()
        orders.watch.leave()
        await asyncio.wait([declaring], timeout=WAIT_SECONDS)
        assert declaring.done(), "it waits on for a time to live of the lease"
        assert orders.groups.is_declared
    await lease.release()
    await lease.close()


async def test_what_was_lost_with_redis_is_declared_again_and_nobody_takes_it_meanwhile(
    redis_noeviction: RunningRedis,
) -> None:
    async with watching(redis_noeviction) as make:
        orders = await make("orders", "orders.>")
        await orders.declare()
        rest = await make("rest")
        await rest.declare()
        redis_noeviction.ask("DEL", GROUPS_KEY)
        await rest.until(lambda: redis_noeviction.ask("HLEN", GROUPS_KEY) == "2")
        assert not rest.groups.owns("orders.new")


async def test_a_group_that_is_said_to_be_gone_is_forgotten(redis_noeviction: RunningRedis) -> None:
    async with watching(redis_noeviction) as make:
        orders = await make("orders", "orders.>")
        await orders.watch.declare()
        rest = await make("rest")
        redis_noeviction.ask("HSET", GROUPS_KEY, "orders", "removed")
        assert not rest.groups.owns("orders.new")
        await rest.until(lambda: rest.groups.owns("orders.new"))
        assert rest.changes > 0


async def test_what_is_no_declaration_is_refused_at_the_start_and_passed_over_later(
    redis_noeviction: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(redis_noeviction) as make:
        rest = await make("rest")
        redis_noeviction.ask("HSET", GROUPS_KEY, "orders", "garbage")
        with pytest.raises(GroupRecordError, match="'orders'"):
            await make("late")
        await rest.until(lambda: "'orders'" in caplog.text)
        assert rest.groups.owns("orders.new")
        assert caplog.text.count("which no coordinator") == 1


async def test_a_redis_that_went_away_holds_nobody_up_who_is_declared(
    own_redis: RunningRedis,
) -> None:
    async with watching(own_redis) as make:
        orders = await make("orders", "orders.>")
        fills = await make("fills", "fills.>")
        await orders.declare()
        await asyncio.to_thread(own_redis.kill)
        await orders.declare()
        with pytest.raises(LeaseUnavailableError):
            await fills.declare()


async def test_a_redis_that_is_away_is_waited_for_and_named() -> None:
    watched = Watched("redis://127.0.0.1:1", "orders", "orders.>")
    with pytest.raises(LeaseUnavailableError, match=r"127\.0\.0\.1:1.*waited"):
        await watched.watch.begin(0.3)
    await watched.watch.close()
