"""Subscriptions whose topics pass from one group of coordinators to another and back.

The coordinators are real ones; which group has which topic is for the test to say, and they are told as a cluster
would tell them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bellwire.admin.v1.server_pb2 import ClusterInfo, TopicGroup
from bellwire.bus.v1.subscriber_pb2 import StartPosition
from bellwire.client import (
    EARLIEST,
    LATEST,
    Client,
    ClientSettings,
    Subscription,
    at_time,
    connect,
    new_message,
)
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.coordinator.state import CoordinatorState
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.testing import RunningCoordinator, running_coordinator
from bellwire.wire.errors import NotOwnerError

WAIT_SECONDS = 20.0


def state_of(running: RunningCoordinator) -> CoordinatorState:
    state = running.coordinator._state
    assert state is not None
    return state


class Groups:
    """Groups of one coordinator each, that own what the test says."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._running: dict[str, RunningCoordinator] = {}
        self._topics: dict[str, tuple[str, ...]] = {}
        self._answers = 0
        self._answered = asyncio.Event()
        self.away: set[str] = set()  # Groups of which nobody is known to be active.

    async def start(self, name: str, **settings: Any) -> RunningCoordinator:
        running = await self._stack.enter_async_context(running_coordinator(**settings))
        self._running[name] = running
        state_of(running).cluster = lambda: ClusterInfo(group=name, groups=self._map())
        return running

    def own(self, **topics: tuple[str, ...]) -> None:
        """Have each group own these topics from now on; () = all that no other names."""
        self._topics = topics
        for name, running in self._running.items():
            if name in topics:
                state_of(running).engine.share(_Ownership(self._known(), name))

    def _known(self) -> TopicGroups:
        return TopicGroups([GroupEntry(name, topics) for name, topics in self._topics.items()], "a")

    def _map(self) -> list[TopicGroup]:
        self._answers += 1
        self._answered.set()
        return [
            TopicGroup(
                group=name,
                topics=topics,
                owner="" if name in self.away else self._running[name].tcp,
                owner_since_unix_nano=1,
            )
            for name, topics in self._topics.items()
        ]

    def client(self, name: str = "a") -> Client:
        """A client that comes to this group first."""
        settings = ClientSettings(timeout_seconds=WAIT_SECONDS, reconnect_max_seconds=0.1)
        return connect(self._running[name].tcp, settings)

    def alone(self, name: str) -> Client:
        """A client of this group that knows of no other; before anybody owns anything."""
        return Client(self._running[name].tcp, topic_groups=[GroupEntry(name)])

    async def until_learned(self) -> None:
        """Wait until clients that go on asking for the map have taken what it says now."""
        enough = self._answers + 2 * len(
            self._running
        )  # Who asks again has taken the answer before.
        while self._answers < enough:
            self._answered.clear()
            await self._answered.wait()


class _Ownership:
    def __init__(self, known: TopicGroups, name: str) -> None:
        self._known = known
        self._name = name

    def owns(self, topic: str) -> bool:
        return self._known.group_of(topic) == self._name

    def refusal(self, topic: str) -> NotOwnerError:
        return NotOwnerError("another group has it", metadata={"topic": topic})


@pytest.fixture
async def groups() -> AsyncIterator[Groups]:
    async with AsyncExitStack() as stack:
        yield Groups(stack)


async def put(client: Client, topic: str, *data: bytes) -> None:
    await client.publisher("test").publish_payloads(topic, data)


async def read(subscription: Subscription, *wanted: bytes) -> list[bytes]:
    """Take messages until these were among them; return all."""
    found: list[bytes] = []
    async with asyncio.timeout(WAIT_SECONDS):
        async for message in subscription:
            found.append(message.data)
            if set(wanted) <= set(found):
                return found
    raise AssertionError("the subscription ended")


@pytest.mark.parametrize("log", ["memory", "sqlite"])
@pytest.mark.parametrize("start", [EARLIEST, at_time(1)], ids=["earliest", "time"])
async def test_who_reads_from_the_beginning_gets_that_of_every_topic_of_a_group_that_is_added(
    groups: Groups, start: StartPosition, log: str, tmp_path
) -> None:
    await groups.start("a")
    groups.own(a=())
    kept = {} if log == "memory" else {"data": str(tmp_path), "default_log": log}
    await groups.start("b", **kept)
    async with groups.alone("b") as early:
        await put(early, "orders.old", b"1", b"2", b"3")
    async with groups.client() as client, client.subscribe(">", start=start) as everything:
        await put(client, "orders.new", b"4")
        assert await read(everything, b"4") == [b"4"]
        groups.own(a=(), b=("orders.*",))
        await put(client, "orders.new", b"5")  # Its refusal has the client read the map.
        assert sorted(await read(everything, b"3", b"5")) == [b"1", b"2", b"3", b"5"]


async def test_who_reads_from_the_beginning_gets_that_of_a_topic_that_joins_others_in_a_group(
    groups: Groups,
) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    async with groups.alone("a") as early:
        await put(early, "orders", b"old")
    groups.own(a=(), b=("orders",))
    async with (
        groups.client() as client,
        client.subscribe("bars", "orders", start=EARLIEST) as both,
    ):
        await put(client, "bars", b"1")
        assert await read(both, b"1") == [b"1"]
        groups.own(a=(), b=("never",))
        await put(client, "orders", b"2")
        assert await read(both, b"2") == [b"old", b"2"]


async def test_where_a_subscription_was_is_known_though_its_group_was_away_when_the_map_changed(
    groups: Groups,
) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    async with groups.alone("b") as early:
        await put(early, "bars", b"b1")
        await put(early, "orders", b"o1")
    groups.own(a=(), b=("never",))
    groups.away.add("b")
    async with groups.client() as client, client.subscribe("bars", "orders", start=LATEST) as both:
        await put(client, "bars", b"b0")
        await put(client, "orders", b"o0")
        await read(both, b"b0", b"o0")
        pending = []
        for topic, moved in (("orders", ("orders",)), ("bars", ("orders", "bars"))):
            groups.own(a=(), b=moved)
            pending.append(asyncio.create_task(put(client, topic, topic.encode())))
            await groups.until_learned()
        groups.away.clear()
        assert sorted(await read(both, b"o1", b"b1", b"orders", b"bars")) == sorted(
            [b"o1", b"b1", b"orders", b"bars"]
        )
        await asyncio.gather(*pending)


async def test_a_topic_that_comes_back_is_read_on_where_it_was_left(groups: Groups) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("never",))
    async with groups.client() as client, client.subscribe("bars", "orders") as both:
        for number in range(6):
            data = b"%d" % number
            await put(client, "orders", data)
            assert await read(both, data) == [data]
            groups.own(a=(), b=("never",) if number % 2 else ("orders",))


async def test_of_parts_that_are_over_nothing_is_kept_but_their_figures(groups: Groups) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("never",))
    async with groups.client() as client, client.subscribe("orders", start=EARLIEST) as orders:
        moves = 12
        for number in range(moves):
            await put(client, "orders", b"%d" % number)
            await read(orders, b"%d" % number)
            groups.own(a=(), b=("never",) if number % 2 else ("orders",))
        await put(client, "orders", b"last")
        await read(orders, b"last")
        gc.collect()
        alive = [each for each in gc.get_objects() if isinstance(each, StreamSubscription)]
        assert len(alive) <= 2, "streams of parts that are over are kept"
        assert orders.streams_opened == moves + 1
        assert (orders.dropped_messages, orders.duplicates_skipped) == (0, 0)


async def test_what_is_given_back_after_its_part_has_ended_comes_again(groups: Groups) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("never",))
    async with (
        groups.client() as client,
        client.subscribe("orders", start=EARLIEST, settle="manual") as orders,
    ):
        await put(client, "orders", b"1")
        iterator = aiter(orders)
        first = await anext(iterator)
        groups.own(a=(), b=("orders",))
        await put(client, "orders", b"2")
        second = await anext(iterator)
        for _ in range(2):  # Over and over: each time its part is over again.
            await orders.release(first)
            first = await anext(iterator)
        assert (first.data, first.attempt) == (b"1", 2)
        await orders.accept(first)
        await orders.accept(second)
        await put(client, "orders", b"3")
        assert (await anext(iterator)).data == b"3"


async def test_a_named_subscription_goes_on_when_a_topic_comes_to_a_group_that_has_others_of_it(
    groups: Groups,
) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("orders",))
    topics = ("bars", "orders")
    async with groups.client() as client:
        async with client.subscribe(*topics, subscription="s") as both:
            await put(client, "bars", b"b1")
            await put(client, "orders", b"o1")
            assert sorted(await read(both, b"b1", b"o1")) == [b"b1", b"o1"]
            groups.own(a=(), b=("never",))
            await put(client, "orders", b"o2")
            assert await read(both, b"o2") == [b"o2"]
        await put(client, "bars", b"b3")
        async with client.subscribe(*topics, subscription="s") as both:
            assert b"b3" in await read(both, b"b3")


async def test_a_name_is_moved_to_a_time_though_a_topic_of_another_group_has_a_log_here(
    groups: Groups, tmp_path: Path
) -> None:
    await groups.start("a", data=str(tmp_path), default_log="sqlite")
    await groups.start("b")
    async with groups.alone("a") as early:
        await put(early, "orders", b"old")
    groups.own(a=(), b=("orders",))
    topics = ("bars", "orders")
    async with groups.client() as client:
        await put(client, "bars", b"b1")
        await put(client, "orders", b"o1")
        for _ in range(2):  # The second time because it was moved.
            async with client.subscribe(*topics, subscription="s") as both:
                assert sorted(await read(both, b"b1", b"o1")) == [b"b1", b"o1"]
            await client.admin.seek("s", at_time(1))


async def test_who_began_at_a_time_gets_all_of_a_topic_that_passes_on_whatever_its_messages_times(
    groups: Groups,
) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("never",))
    now = time.time_ns()
    old = now - 3_600_000_000_000  # What is told late of an hour ago.
    async with (
        groups.client() as client,
        groups.alone("b") as early,
        client.subscribe("orders", "bars", start=at_time(now)) as both,
    ):
        publisher = client.publisher("test")
        await publisher.publish_message("orders", new_message(data=b"1", time_unix_nano=old))
        assert await read(both, b"1") == [b"1"]
        groups.own(a=(), b=("orders",))
        late = new_message(data=b"2", time_unix_nano=old + 1)
        await early.publisher("test").publish_message("orders", late)
        await publisher.publish_message("orders", new_message(data=b"3", time_unix_nano=now + 1))
        assert await read(both, b"3") == [b"2", b"3"]


async def test_what_was_given_back_and_had_not_come_again_comes_when_its_topic_passes_on(
    groups: Groups,
) -> None:
    for name in ("a", "b"):
        await groups.start(name)
    groups.own(a=(), b=("never",))
    async with (
        groups.client() as client,
        client.subscribe("orders", "bars", settle="manual") as both,
    ):
        await put(client, "orders", b"1")
        first = await anext(aiter(both))
        await both.release(first, delay_seconds=0.3)
        groups.own(a=(), b=("orders",))
        await put(client, "orders", b"2")
        assert sorted(await read(both, b"1", b"2")) == [b"1", b"2"]
        groups.own(a=(), b=("never",))
        await put(client, "orders", b"3")
        assert await read(both, b"3") == [b"3"]  # And once only, where it was before, too.
