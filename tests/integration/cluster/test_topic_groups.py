"""Two groups on one Kafka and one Redis: each serves its topics, and says of the others whose they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.cluster.conftest import WAIT_SECONDS, Group
from tests.integration.cluster.processes import ServedGroup
from tests.integration.coordinator.frames import (
    WIDE,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    dial,
    eventually,
    payloads,
    refusal,
    within,
)

from bellwire.admin.v1 import dead_letter_pb2, topic_pb2
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.client import EARLIEST, ClientSettings, connect
from bellwire.coordinator.cluster.errors import TopicsTakenError
from bellwire.coordinator.cluster.holder import lease_key
from bellwire.coordinator.cluster.topic_groups import GROUPS_KEY
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.testing.redis import RunningRedis
from bellwire.wire.errors import NotOwnerError, UnknownSubscriptionError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]


class Pair:
    """A group of some topics, and what makes others beside it.

    Topics in Kafka are shared by all tests: each pair has a prefix of its own.
    """

    def __init__(self, kafka: str, redis: str, stack: AsyncExitStack) -> None:
        self.prefix = f"p{uuid4().hex}"
        self.bars = f"{self.prefix}.bars.1h"
        self.orders = f"{self.prefix}.orders.new"
        self.orders_group = f"orders-{self.prefix}"
        self._base: dict[str, Any] = {
            "kafka": kafka,
            "default_log": "kafka",
            "redis": redis,
            "group_lease_seconds": 3.0,
        }
        self._stack = stack

    def make(self, name: str, *topics: str) -> Group:
        """A group without members; it has a state topic of its own by its name."""
        settings = CoordinatorSettings(
            **self._base, group=f"{name}-{self.prefix}", group_topics=topics
        )
        group = Group(settings)
        self._stack.push_async_callback(group.close)
        return group

    async def start(self, name: str, *topics: str) -> Group:
        """A group with an active member."""
        group = self.make(name, *topics)
        await group.active(await group.join())
        return group

    async def start_rest(self) -> Group:
        """The group of what no other names."""
        return await self.start("rest")

    async def start_orders(self) -> Group:
        """The group of orders."""
        return await self.start("orders", f"{self.prefix}.orders.>")


def address_of(group: Group) -> str:
    return group.members[0].addresses[0]


@asynccontextmanager
async def pair_on(kafka: str, redis: str) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        yield Pair(kafka, redis, stack)


@pytest.fixture
async def pair(kafka: str, redis_noeviction: RunningRedis) -> AsyncIterator[Pair]:
    async with pair_on(kafka, redis_noeviction.url) as made:
        yield made


async def all_known(stubs: Stubs, count: int) -> list[Any]:
    """Wait until a coordinator knows so many groups with an owner; return them."""

    async def groups() -> list[Any]:
        return list((await stubs.info()).cluster.groups)

    return await eventually(
        groups, lambda found: len(found) == count and all(group.owner for group in found)
    )


def everything_about(stubs: Stubs, topic: str) -> dict[str, Any]:
    """One request of each kind that names a topic."""
    replay = stubs.subscriber.Replay(subscriber_pb2.ReplayRequest(topics=[topic]))
    admin = topic_pb2
    letters = stubs.dead_letters
    return {
        "publish": stubs.publish(b"x", topic=topic),
        "metadata": stubs.publisher.GetTopicMetadata(
            publisher_pb2.GetTopicMetadataRequest(topic=topic)
        ),
        "pull": stubs.pull(f"s-{uuid4().hex}", topics=[topic]),
        "latest": stubs.subscriber.GetLatest(
            subscriber_pb2.GetLatestRequest(topic=topic, keys=["k"])
        ),
        "replay": replay.read(),
        "create": stubs.create_topic(topic),
        "get": stubs.topics.GetTopic(admin.GetTopicRequest(name=topic)),
        "update": stubs.topics.UpdateTopic(
            admin.UpdateTopicRequest(topic=admin.Topic(name=topic, retention_messages=5))
        ),
        "delete": stubs.topics.DeleteTopic(admin.DeleteTopicRequest(name=topic)),
        "stats": stubs.stats(topic),
        "list dead letters": letters.ListDeadLetters(
            dead_letter_pb2.ListDeadLettersRequest(topic=topic)
        ),
        "redrive": letters.RedriveDeadLetters(
            dead_letter_pb2.RedriveDeadLettersRequest(topic=topic)
        ),
        "purge": letters.PurgeDeadLetters(dead_letter_pb2.PurgeDeadLettersRequest(topic=topic)),
    }


async def subscribed(stubs: Stubs, *topics: str) -> SubscribeStream:
    return await SubscribeStream(stubs).open(topics=list(topics))


async def test_each_serves_its_own_and_says_of_others_where_they_are(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    async with dial(address_of(rest)) as here, dial(address_of(orders)) as there:
        await all_known(here, 2)
        await all_known(there, 2)
        assert await here.publish(b"1", topic=pair.bars) == [0]
        assert await there.publish(b"1", topic=pair.orders) == [0]
        for stubs, topic, owner in ((here, pair.orders, orders), (there, pair.bars, rest)):
            wanted = {"owner": address_of(owner), "group": owner.members[0].group, "topic": topic}
            for what, request in everything_about(stubs, topic).items():
                refused = await refusal(request)
                assert isinstance(refused, NotOwnerError), what
                assert {key: refused.metadata.get(key) for key in wanted} == wanted, what
            stream = SubscribeStream(stubs)
            await stream.send(
                start=subscriber_pb2.SubscribeStart(
                    topics=[f"{pair.prefix}.*.x", topic], window=WIDE
                )
            )
            ended = await stream.ended_with()
            assert isinstance(ended, NotOwnerError)
            assert ended.owner == address_of(owner)


async def test_of_one_frame_only_what_is_elsewhere_is_refused(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    async with dial(address_of(rest)) as here:
        await all_known(here, 2)
        stream = await PublishStream(here).open(client_id="c")
        for number in range(2):
            await stream.publish(
                batch(b"o", topic=pair.orders, base_sequence=number),
                batch(b"b", topic=pair.bars, base_sequence=number),
            )
            failure = await stream.read_arm("failure")
            assert (failure.frame_sequence, failure.batch_index) == (number + 1, 0)
            assert failure.error.reason == "NOT_OWNER"
            assert failure.error.metadata["owner"] == address_of(orders)
            assert failure.error.metadata["topic"] == pair.orders
            (position,) = await stream.acknowledged(number + 1)
            assert (position.topic, position.first_offset) == (pair.bars, number)
        await stream.finish()


async def test_a_pattern_reads_what_is_here_and_makes_nothing_of_others(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    async with dial(address_of(rest)) as here, dial(address_of(orders)) as there:
        await all_known(here, 2)
        everything = await subscribed(here, f"{pair.prefix}.>")
        await there.publish(b"o", topic=pair.orders)
        await here.publish(b"b", topic=pair.bars)
        assert await everything.data(1) == [b"b"]
        for stubs, topic in ((here, pair.bars), (there, pair.orders)):
            listed = await within(
                stubs.topics.ListTopics(topic_pb2.ListTopicsRequest(pattern=f"{pair.prefix}.>"))
            )
            assert [found.name for found in listed.topics] == [topic]


async def test_everybody_tells_all_groups_standbys_too(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    standby = await orders.join()
    for address in (address_of(rest), address_of(orders), standby.addresses[0]):
        async with dial(address) as stubs:
            first, second = await all_known(stubs, 2)
            assert (first.group, list(first.topics), first.owner) == (
                pair.orders_group,
                [f"{pair.prefix}.orders.>"],
                address_of(orders),
            )
            assert (list(second.topics), second.owner) == ([], address_of(rest))
            assert 0 < first.owner_since_unix_nano <= time.time_ns()


@pytest.mark.parametrize("topics", [("{}.*.new",), ("{}.bars.1h", "{}.orders.new"), ()])
async def test_who_wants_topics_of_another_group_is_refused_and_takes_no_lease(
    pair: Pair, redis_noeviction: RunningRedis, topics: tuple[str, ...]
) -> None:
    taken = await (pair.start_orders() if topics else pair.start_rest())
    other = pair.make("other", *(topic.format(pair.prefix) for topic in topics))
    with pytest.raises(TopicsTakenError) as refused:
        await other.join()
    name = f"other-{pair.prefix}"
    assert repr(name) in refused.value.message
    assert repr(taken.members[0].group) in refused.value.message
    assert redis_noeviction.ask("EXISTS", lease_key(name)) == "0"
    assert redis_noeviction.ask("HEXISTS", GROUPS_KEY, name) == "0"


async def test_of_two_that_start_at_the_same_moment_one_ends(
    pair: Pair, redis_noeviction: RunningRedis
) -> None:
    rivals = [pair.make("one", f"{pair.prefix}.orders.>"), pair.make("two", f"{pair.prefix}.*.new")]
    begun = await asyncio.gather(*(rival.join() for rival in rivals), return_exceptions=True)
    started = [found for found in begun if not isinstance(found, BaseException)]
    errors: list[BaseException | None] = [e for e in begun if isinstance(e, BaseException)]
    if not errors:  # Both had looked before either had declared.
        ends = [asyncio.create_task(member.failed.wait()) for member in started]
        done, running = await asyncio.wait(
            ends, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for task in running:
            task.cancel()
        assert len(done) == 1
        errors = [member.failure for member in started if member.failure is not None]
    assert [type(error) for error in errors] == [TopicsTakenError]
    winner = next(rival for rival in rivals if rival.members and not rival.members[0].failure)
    await winner.active(winner.members[0])
    for rival in rivals:
        if rival is not winner:
            await rival.close()
            name = rival.settings.group
            assert redis_noeviction.ask("EXISTS", lease_key(name)) == "0"
            assert redis_noeviction.ask("HEXISTS", GROUPS_KEY, name) == "0"


async def test_a_topic_of_nobody_is_refused_until_somebody_has_it(pair: Pair) -> None:
    orders = await pair.start_orders()
    async with dial(address_of(orders)) as there:
        refused = await refusal(there.publish(b"x", topic=pair.bars))
        assert isinstance(refused, NotOwnerError)
        assert (refused.owner, refused.metadata.get("group")) == ("", None)
        assert "belongs to no group" in refused.message
        rest = await pair.start_rest()
        await eventually(
            lambda: refusal(there.publish(b"x", topic=pair.bars)),
            lambda error: error.metadata.get("owner") == address_of(rest),
        )


async def test_a_group_that_is_added_takes_over_and_what_is_left_behind_is_told(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    rest = await pair.start_rest()
    async with dial(address_of(rest)) as here:
        await here.publish(b"1", topic=pair.orders)
        reader = await subscribed(here, pair.orders)
        everything = await subscribed(here, f"{pair.prefix}.>")
        orders = await pair.start_orders()
        # It serves only once those who served its topics have heard of it.
        refused = await refusal(here.publish(b"2", topic=pair.orders))
        assert isinstance(refused, NotOwnerError)
        ended = await reader.ended_with()
        assert isinstance(ended, NotOwnerError)
        assert ended.metadata["group"] == pair.orders_group
        assert pair.orders in caplog.text
        assert "coordinator.group_topics" in caplog.text
        await here.publish(b"3", topic=pair.bars)
        assert await everything.data(1) == [b"3"]
        async with dial(address_of(orders)) as there:
            assert await there.publish(b"4", topic=pair.orders) == [0]


async def test_a_group_whose_topics_change_keeps_what_it_holds_and_says_so(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    group = await pair.start_orders()
    before = group.settings.group_topics
    async with dial(address_of(group)) as stubs:
        await stubs.publish(b"1", topic=pair.orders)
    standby = await group.join(group_topics=(f"{pair.prefix}.fills.>",))
    assert "they hold once it is active" in caplog.text
    await group.members[0].drain()
    await group.active(standby)
    assert f"that are not its own (1, among them {pair.orders})" in caplog.text
    async with dial(standby.addresses[0]) as stubs:
        refused = await refusal(stubs.publish(b"2", topic=pair.orders))
        assert isinstance(refused, NotOwnerError)
        assert refused.metadata.get("group") is None
    await standby.drain()
    again = await group.join(group_topics=before)
    await group.active(again)
    async with dial(again.addresses[0]) as stubs:
        pulled = await stubs.pull("all", topics=[pair.orders])
        assert payloads(pulled.deliveries) == [b"1"]


async def test_no_group_sees_the_state_of_another_not_after_a_restart_either(pair: Pair) -> None:
    rest, orders = await pair.start_rest(), await pair.start_orders()
    for group, topic, data in ((rest, pair.bars, b"b"), (orders, pair.orders, b"o")):
        async with connect(address_of(group)) as client:
            await client.publisher("desk").publish(topic, data)
    async with dial(address_of(rest)) as here:
        await here.pull("only-here", topics=[pair.bars])
    for group, topic, data in ((rest, pair.bars, b"b"), (orders, pair.orders, b"o")):
        await group.members[0].drain()
        successor = await group.join()
        await group.active(successor)
        address = successor.addresses[0]
        async with dial(address) as stubs:
            report = (await stubs.info()).store.recovery
            assert (report.topics, report.messages) == (1, 1)
            known = stubs.subscriber.DeleteSubscription(
                subscriber_pb2.DeleteSubscriptionRequest(subscription="only-here")
            )
            if group is rest:
                await within(known)
            else:
                assert isinstance(await refusal(known), UnknownSubscriptionError)
        async with (
            connect(address) as client,
            client.subscribe(topic, subscription="again", start=EARLIEST) as messages,
        ):
            assert (await within(anext(aiter(messages)))).data == data


async def test_redis_away_changes_no_topics_and_an_empty_one_is_told_again(
    kafka: str, own_redis: RunningRedis
) -> None:
    async with pair_on(kafka, own_redis.url) as pair:
        rest, orders = await pair.start_rest(), await pair.start_orders()
        async with dial(address_of(rest)) as here, dial(address_of(orders)) as there:
            await all_known(here, 2)
            await all_known(there, 2)

            async def still_so() -> None:
                refused = await refusal(here.publish(b"x", topic=pair.orders))
                assert isinstance(refused, NotOwnerError)
                assert refused.metadata["group"] == pair.orders_group
                await there.publish(b"x", topic=pair.orders)

            await asyncio.to_thread(own_redis.kill)
            await eventually(here.info, lambda found: found.cluster.lease_service_away)
            await still_so()
            await asyncio.to_thread(own_redis.start)  # Empty.

            async def declared() -> str:
                await still_so()
                return await asyncio.to_thread(own_redis.ask, "HLEN", GROUPS_KEY)

            await eventually(declared, lambda found: found == "2")
            await all_known(here, 2)
            await still_so()


async def test_when_one_groups_active_one_is_killed_the_other_goes_on_undisturbed(
    kafka: str, redis_noeviction: RunningRedis, tmp_path: Path
) -> None:
    prefix = f"p{uuid4().hex}"
    redis = redis_noeviction.url
    names = (("--group", f"{name}-{prefix}") for name in ("orders", "rest"))
    orders = ServedGroup(
        tmp_path / "orders", kafka, redis, 2, *next(names), "--topics", f"{prefix}.orders.>"
    )
    rest = ServedGroup(tmp_path / "rest", kafka, redis, 1, *next(names))
    gaps: list[float] = []
    acknowledged: list[bytes] = []
    progress = asyncio.Event()
    stopping = asyncio.Event()

    async def flow(addresses: str, topic: str, longest: list[float]) -> None:
        async with connect(addresses, ClientSettings(timeout_seconds=20)) as client:
            publisher = client.publisher("desk")
            number = 0
            while not stopping.is_set():
                began = time.monotonic()
                data = b"%d" % number
                await publisher.publish(topic, data, key="k")
                longest.append(time.monotonic() - began)
                if topic.startswith(f"{prefix}.orders"):
                    acknowledged.append(data)
                number += 1
                progress.set()

    async def until_acknowledged(count: int) -> None:
        async with asyncio.timeout(20):
            while len(acknowledged) < count or len(gaps) < count:
                progress.clear()
                await progress.wait()

    try:
        first = await orders.start()
        await rest.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flow(rest.addresses, f"{prefix}.bars", gaps))
            tasks.create_task(flow(orders.addresses, f"{prefix}.orders.new", []))
            await until_acknowledged(20)
            await first.kill()
            killed = len(acknowledged), len(gaps)
            await orders.active(first)
            await until_acknowledged(killed[0] + 20)
            stopping.set()
        during = gaps[killed[1] :]
        print(
            f"longest of {len(during)} publishes of the other group meanwhile: {max(during):.3f} s"
        )
        assert max(during) < 1.5  # The lease of the killed one lasts for 3 s.
        found: list[bytes] = []
        async with (
            connect(orders.addresses) as client,
            client.subscribe(
                f"{prefix}.orders.new", subscription="all", start=EARLIEST
            ) as messages,
        ):
            async with asyncio.timeout(20):
                async for message in messages:
                    found.append(message.data)
                    if len(found) == len(acknowledged):
                        break
        assert found == acknowledged
    finally:
        stopping.set()
        for group in (orders, rest):
            await group.stop()
