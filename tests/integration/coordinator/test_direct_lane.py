"""The direct lane: what reaches subscribers past the coordinator, and what happens where it cannot."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.integration.coordinator.frames import within

from bellwire.admin.v1.topic_pb2 import DIRECT_POLICY_FORBID, LOG_KIND_SQLITE, Topic
from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_CONFLATE,
    OVERFLOW_POLICY_DISCONNECT,
)
from bellwire.client import Client, ClientSettings, connect, new_message
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client._subscribe_side import NO_DIRECT_LANE
from bellwire.client.subscription import Subscription
from bellwire.coordinator.core.direct import Route
from bellwire.testing import running_coordinator
from bellwire.testing.server import RunningCoordinator
from bellwire.transport.address import parse_address
from bellwire.transport.channel import TransportSettings
from bellwire.transport.lane.address import lane_socket
from bellwire.transport.lane.direct import fetch_end
from bellwire.wire.errors import CallerError, PayloadTooLargeError, SlowSubscriberError

GRPC_ONLY = ClientSettings(transport=TransportSettings(socket_lane=False))
NO_DIRECT = ClientSettings(transport=TransportSettings(direct_lane=False))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def until_direct(publisher, topic: str, subscription: Subscription) -> int:
    """Publish and take messages until one comes directly; return how many there were."""
    messages = aiter(subscription)
    for count in range(1, 1_000):
        await publisher.publish(topic, b"warm up")
        if (await within(anext(messages))).batch.is_direct:
            return count
    raise AssertionError("nothing came directly")


@asynccontextmanager
async def connected(
    running: RunningCoordinator, topic: str = "ticks", **options: object
) -> AsyncIterator[tuple[Client, Subscription]]:
    """Run a publisher and a subscription between which a direct route is in use."""
    async with (
        connect(running.unix) as client,
        connect(running.unix) as other,
        other.subscribe(topic, direct=True, **options) as subscription,  # type: ignore[arg-type]
    ):
        await until_direct(client.publisher(), topic, subscription)
        yield client, subscription


async def test_messages_come_directly_without_an_offset_and_the_coordinator_has_them_as_well() -> (
    None
):
    async with running_coordinator() as running, connected(running) as (client, subscription):
        assert subscription.lane == "direct"
        placed = await client.publisher().publish("ticks", b"one", key="k")
        message = await within(anext(aiter(subscription)))
        assert (message.data, message.key, message.topic, message.partition) == (
            b"one",
            "k",
            "ticks",
            0,
        )
        assert (message.offset, message.attempt, message.replayed) == (-1, 0, False)
        assert message.admitted_time_unix_nano > 0
        stats = await client.admin.topic_stats("ticks")
        assert stats.partitions[0].next_offset == placed.offset + 1
        assert stats.published_messages == placed.offset + 1


async def test_everyone_else_gets_them_from_the_coordinator() -> None:
    async with (
        running_coordinator() as running,
        connected(running) as (client, subscription),
        connect(running.tcp, GRPC_ONLY) as far,
        far.subscribe("ticks") as remote,
        far.subscribe("ticks", subscription="named") as named,
    ):
        placed = await client.publisher().publish("ticks", b"for all")
        assert (await within(anext(aiter(subscription)))).offset == -1
        assert (await within(anext(aiter(remote)))).offset == placed.offset
        messages = aiter(named)
        while (message := await within(anext(messages))).data != b"for all":
            pass
        assert message.offset == placed.offset


@pytest.mark.parametrize(
    ("publisher", "subscriber"),
    [(GRPC_ONLY, None), (None, GRPC_ONLY), (NO_DIRECT, None), (None, NO_DIRECT)],
    ids=["publisher far", "subscriber far", "publisher will not", "subscriber will not"],
)
async def test_where_one_end_cannot_the_coordinator_delivers(publisher, subscriber) -> None:
    async with (
        running_coordinator() as running,
        connect(running.unix, publisher) as client,
        connect(running.unix, subscriber) as other,
        other.subscribe("ticks", direct=True) as subscription,
    ):
        for index in range(50):
            placed = await client.publisher().publish("ticks", b"x")
            message = await within(anext(aiter(subscription)))
            assert message.offset == placed.offset == index
        assert subscription.lane == ("grpc" if subscriber is GRPC_ONLY else "socket")
        words = "" if subscriber is None else NO_DIRECT_LANE
        assert subscription.direct_obstacle == words


async def test_a_topic_that_forbids_it_or_is_durable_is_delivered_by_the_coordinator(
    tmp_path: Path,
) -> None:
    async with (
        running_coordinator(data=str(tmp_path)) as running,
        connect(running.unix) as client,
        connect(running.unix) as other,
    ):
        await client.admin.create_topic(Topic(name="orders", log=LOG_KIND_SQLITE))
        await client.admin.create_topic(Topic(name="shy", direct_policy=DIRECT_POLICY_FORBID))
        await client.admin.create_topic(
            Topic(name="latest", overflow_policy=OVERFLOW_POLICY_CONFLATE)
        )
        async with other.subscribe("latest", direct=True) as subscription:
            assert subscription.direct_obstacle.startswith("policy CONFLATE")
        for topic, words in (("orders", "is durable"), ("shy", "forbids it")):
            async with other.subscribe(topic, direct=True) as subscription:
                for _ in range(50):
                    placed = await client.publisher().publish(topic, b"x")
                    assert (await within(anext(aiter(subscription)))).offset == placed.offset
                assert subscription.lane == "socket"
                assert subscription.direct_obstacle == f"topic {topic!r} {words}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subscription": "named"}, "subscription 'named' has a cursor"),
        ({"lease_seconds": 5.0}, "a lease is kept by the coordinator"),
        ({"max_batch_messages": 10}, "max_batch_messages is kept by the coordinator"),
        ({"overflow_policy": OVERFLOW_POLICY_CONFLATE}, "policy CONFLATE"),
    ],
)
async def test_what_needs_the_coordinator_in_between_is_refused_with_direct(options, words) -> None:
    async with running_coordinator() as running, connect(running.unix) as client:
        with pytest.raises(CallerError, match=words):
            client.subscribe("ticks", direct=True, **options)


async def test_delayed_messages_and_large_batches_go_by_the_coordinator_in_order() -> None:
    async with running_coordinator() as running, connected(running) as (client, subscription):
        publisher = client.publisher()
        messages = aiter(subscription)
        kinds = []
        for size in (10, 300_000, 20):
            data = random.Random(size).randbytes(size)
            publishing = asyncio.ensure_future(publisher.publish("ticks", data))
            message = await within(anext(messages))
            await within(publishing)
            assert message.data == data
            kinds.append(message.offset < 0)
        assert kinds == [True, False, True]
        due_ns = time.time_ns() + 100_000_000
        await publisher.publish("ticks", b"delayed", not_before_time_unix_nano=due_ns)
        await publisher.publish("ticks", b"at once")
        received = [await within(anext(messages)) for _ in range(2)]
        assert [message.data for message in received] == [b"delayed", b"at once"]
        assert received[0].offset >= 0
        assert time.time_ns() >= due_ns


async def test_a_subscriber_slower_than_its_publisher_loses_nothing_with_block() -> None:
    async with (
        running_coordinator() as running,
        connected(running, window_messages=50, overflow_policy=OVERFLOW_POLICY_BLOCK) as (
            client,
            subscription,
        ),
    ):
        count = 20_000
        payloads = [index.to_bytes(8, "little") + bytes(100) for index in range(count)]
        await within(client.publisher().publish_payloads("ticks", payloads))
        kinds: Counter[bool] = Counter()
        messages = aiter(subscription)
        for index in range(count):
            message = await within(anext(messages))
            assert int.from_bytes(message.data[:8], "little") == index
            kinds[message.offset < 0] += 1
        assert kinds[False] > 0, "the socket was never full"


async def test_what_waits_for_a_consumer_is_bounded_by_its_window_and_what_a_socket_holds() -> None:
    window = 1 << 20
    options: dict[str, Any] = {
        "window_bytes": window,
        "overflow_policy": OVERFLOW_POLICY_BLOCK,
    }
    async with (
        running_coordinator() as running,
        connected(running, **options) as (client, subscription),
    ):
        chosen = random.Random(1)
        payloads = [index.to_bytes(8, "little") + chosen.randbytes(20_000) for index in range(800)]
        for payload in payloads:
            await within(client.publisher().publish("ticks", payload))
        assert isinstance(subscription, StreamSubscription)
        held = subscription._side.inbox._bytes
        # The direct ones, and a window of those that came by the coordinator.
        assert held <= 2 * window + (1 << 19)
        messages = aiter(subscription)
        for payload in payloads:
            assert (await within(anext(messages))).data == payload


async def test_a_subscriber_that_reads_nothing_is_subject_to_its_policy() -> None:
    async with (
        running_coordinator(retention_messages=100) as running,
        connected(running, window_messages=10, overflow_policy=OVERFLOW_POLICY_DISCONNECT) as (
            client,
            subscription,
        ),
    ):
        for _ in range(200):
            await client.publisher().publish_payloads("ticks", [bytes(2_000)] * 10)
        with pytest.raises(SlowSubscriberError):
            async for _ in subscription:
                pass


async def test_what_is_released_comes_again_and_what_is_rejected_does_not() -> None:
    async with (
        running_coordinator() as running,
        connected(running, settle="manual") as (client, subscription),
    ):
        publisher = client.publisher()
        for data in (b"released", b"rejected", b"accepted"):
            await publisher.publish("ticks", data)
        first = await within(subscription.next_batch())
        await first.release()
        second = await within(subscription.next_batch())
        await second.reject(reason="no")
        received = [(await within(subscription.next_batch())) for _ in range(2)]
        found = {batch.messages[0].data: batch.attempt for batch in (*received, second)}
        assert found == {b"released": 1, b"rejected": 0, b"accepted": 0}


async def test_a_pause_holds_for_what_comes_directly_too() -> None:
    async with running_coordinator() as running, connected(running) as (client, subscription):
        await subscription.pause()
        await client.publisher().publish("ticks", b"later")
        messages = aiter(subscription)
        waiting = asyncio.ensure_future(anext(messages))
        # Two round trips of the same connections behind it, and nothing has come.
        for _ in range(2):
            await client.publisher().publish("ticks", b"later still")
        assert not waiting.done()
        await subscription.resume()
        assert (await within(waiting)).data == b"later"


async def test_further_topics_and_partitions_join_the_route() -> None:
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        connect(running.unix) as other,
    ):
        for topic in ("fx.a", "fx.b"):
            await client.admin.create_topic(Topic(name=topic, partition_count=3))
        async with other.subscribe("fx.*", direct=True) as subscription:
            publisher = client.publisher()
            messages = aiter(subscription)
            direct: set[tuple[str, int]] = set()
            latest: defaultdict[tuple[str, str], int] = defaultdict(lambda: -1)
            for index in range(2_000):
                topic, key = f"fx.{'ab'[index % 2]}", str(index % 7)
                await publisher.publish(topic, str(index).encode(), key=key)
                message = await within(anext(messages))
                assert int(message.data) > latest[message.topic, message.key]
                latest[message.topic, message.key] = int(message.data)
                if message.offset < 0:
                    direct.add((message.topic, message.partition))
                if len(direct) == 6:
                    break
            assert len(direct) == 6


PUBLISHER = """
import asyncio, sys
from bellwire.client import connect

async def main(address):
    async with connect(address) as client:
        publisher, index = client.publisher("victim"), 0
        while True:
            await publisher.publish("ticks", index.to_bytes(8, "little"))
            index += 1

asyncio.run(main(sys.argv[1]))
"""

SUBSCRIBER = """
import asyncio, sys
from bellwire.client import connect

async def main(address):
    async with connect(address) as client, client.subscribe("ticks", direct=True) as subscription:
        async for message in subscription:
            print("direct" if message.offset < 0 else "relayed", flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def started(code: str, address: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, address, stdout=asyncio.subprocess.PIPE
    )


async def test_a_publisher_that_is_killed_leaves_a_sequence_without_gaps_and_no_descriptor() -> (
    None
):
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        client.subscribe("ticks", direct=True) as subscription,
    ):
        before = descriptors()
        process = await started(PUBLISHER, running.unix)
        messages = aiter(subscription)
        seen = [await within(anext(messages), 20)]
        while len(seen) < 500 or seen[-1].offset >= 0:
            seen.append(await within(anext(messages)))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        # One more publisher: whatever is left of the first is in front of it.
        await client.publisher().publish("ticks", b"end")
        while (message := await within(anext(messages))).data != b"end":
            seen.append(message)
        indexes = [int.from_bytes(message.data, "little") for message in seen]
        assert indexes == list(range(len(indexes)))
        assert process.stdout is not None
        await process.stdout.read()
        for _ in range(100):
            if (
                descriptors() <= before + 4
            ):  # The publisher of this process: its stream and its route.
                break
            await client.admin.server_info()
        assert descriptors() <= before + 4


async def test_a_subscriber_that_is_killed_does_not_hold_up_its_publisher() -> None:
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        client.subscribe("ticks") as witness,
    ):
        publisher = client.publisher()
        process = await started(SUBSCRIBER, running.unix)
        assert process.stdout is not None
        messages = aiter(witness)
        count = 0
        line = asyncio.ensure_future(process.stdout.readline())
        while True:
            await publisher.publish("ticks", b"x")
            await within(anext(messages))
            count += 1
            if line.done():
                if line.result() == b"direct\n":
                    break
                line = asyncio.ensure_future(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        await process.wait()
        for _ in range(100):
            placed = await within(publisher.publish("ticks", b"after"))
            assert (await within(anext(messages))).offset == placed.offset
        await process.stdout.read()


async def test_what_shared_a_batch_with_a_message_that_was_refused_comes_once() -> None:
    async with running_coordinator() as running, connected(running) as (client, subscription):
        publisher = client.publisher()
        refused = 20
        outcomes = [
            await publisher.enqueue(
                "ticks", new_message(data=bytes([index]), type="x" * 300 * (index == refused))
            )
            for index in range(30)
        ]
        found = await within(asyncio.gather(*outcomes, return_exceptions=True))
        assert [isinstance(each, PayloadTooLargeError) for each in found].count(True) == 1
        await publisher.publish("ticks", b"end")
        messages = aiter(subscription)
        seen: list[int] = []
        while (message := await within(anext(messages))).data != b"end":
            seen.append(message.data[0])
        assert [index for index in seen if index != refused] == [
            index for index in range(30) if index != refused
        ]


def path_of(running: RunningCoordinator) -> str:
    path = lane_socket(parse_address(running.unix))
    assert path is not None
    return path


async def test_who_came_by_the_port_and_who_by_the_socket_reach_each_other_directly() -> None:
    async with (
        running_coordinator() as running,
        connect(running.tcp) as client,
        connect(running.unix) as other,
        other.subscribe("ticks", direct=True) as subscription,
    ):
        await until_direct(client.publisher(), "ticks", subscription)
        assert subscription.lane == "direct"


async def test_the_end_of_a_route_that_nobody_fetched_is_not_kept() -> None:
    async with running_coordinator() as running, connect(running.unix) as client:
        (ends,) = {lane._direct for lane in running.coordinator._lanes}
        assert ends is not None
        open_route, kept = ends._routes.opened, []

        def opened(route: Route) -> None:
            kept.append(route)
            assert list(ends._ends) == [route.route_id]

        ends._routes.opened = opened  # type: ignore[method-assign]  # Its publisher is not told.
        async with connect(running.unix) as other, other.subscribe("ticks", direct=True) as taken:
            messages = aiter(taken)
            while not kept:
                await client.publisher().publish("ticks", b"x")
                await within(anext(messages))
        for _ in range(100):
            if not ends._ends:
                break
            await client.admin.server_info()
        assert not ends._ends
        assert not ends._timers
        ends._routes.opened = open_route  # type: ignore[method-assign]


async def test_a_publisher_that_writes_no_more_lets_go_of_subscribers_that_are_gone() -> None:
    async with running_coordinator() as running, connect(running.unix) as client:
        publisher = client.publisher()
        await publisher.publish("ticks", b"x")
        before = descriptors()
        async with (
            connect(running.unix) as other,
            other.subscribe("ticks", direct=True) as subscription,
        ):
            await until_direct(publisher, "ticks", subscription)
        for _ in range(100):
            if descriptors() <= before:
                break
            await client.admin.server_info()
        assert descriptors() <= before


async def test_no_child_process_inherits_an_end() -> None:
    async with running_coordinator() as running, connected(running) as (_, subscription):
        assert isinstance(subscription, StreamSubscription)
        (end,) = subscription._side._direct._ends.values()
        assert not os.get_inheritable(end.fileno())


async def test_a_token_nobody_gave_fetches_nothing() -> None:
    async with running_coordinator() as running:
        assert not await fetch_end(path_of(running), 12_345, 5.0, lambda end: end.close())


async def test_a_token_serves_one_process_and_once(monkeypatch) -> None:
    async with running_coordinator() as running:
        routes = running.coordinator._state.engine.direct  # type: ignore[union-attr]
        claims: list[tuple[int, int]] = []
        claim = routes.claim

        def noted(token: int, process: int):
            claims.append((token, process))
            return claim(token, process)

        monkeypatch.setattr(routes, "claim", noted)
        async with connected(running):
            pass
        assert [process for _, process in claims] == [os.getpid()] * 2
        for token, process in claims:
            assert claim(token, process) is None
            assert claim(token, process + 1) is None


async def test_without_a_descriptor_for_its_end_a_subscriber_is_served_by_the_coordinator(
    monkeypatch,
) -> None:
    def refused(*_: object) -> tuple[socket.socket, socket.socket]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socketpair", refused)
    async with (
        running_coordinator() as running,
        connect(running.unix) as client,
        connect(running.unix) as other,
        other.subscribe("ticks", direct=True) as subscription,
    ):
        for _ in range(50):
            placed = await client.publisher().publish("ticks", b"x")
            assert (await within(anext(aiter(subscription)))).offset == placed.offset


async def chaos(seed: int, *, cut: bool, full: bool, seconds: float = 1.0) -> Counter[str]:
    """Publish from three sides to a subscriber that stumbles; check that each message comes once, in order.

    Args:
        seed: Of everything that is chosen here; the machine's own timing is not.
        cut: Whether connections are lost meanwhile.
        full: Whether the topics are too small for another subscriber, so that batches are refused.
    """
    chosen = random.Random(seed)
    limits: dict[str, Any] = (
        {"publish_wait_seconds": 0.02, "retention_messages": 300} if full else {}
    )
    received: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    sent: Counter[tuple[str, str]] = Counter()
    refused: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    seen: Counter[str] = Counter()
    arrived = asyncio.Event()
    clock = asyncio.get_running_loop().time
    stop_at = clock() + seconds

    async def produce(running: RunningCoordinator, name: str) -> None:
        async with connect(running.unix) as client:
            publisher = client.publisher(name)
            handed = []
            while clock() < stop_at:
                topic = f"t.{chosen.randrange(2)}"
                for _ in range(chosen.choice([1, 1, 1, 5, 50])):
                    index = sent[name, topic]
                    sent[name, topic] += 1
                    size = (
                        chosen.choice([0, 50, 50, 5_000, 200_000]) if chosen.random() < 0.2 else 9
                    )
                    data = f"{name}|{index}|".encode() + chosen.randbytes(size)
                    acknowledged = await publisher.enqueue(
                        topic, new_message(data=data, source=name)
                    )
                    handed.append((topic, index, acknowledged))
                await asyncio.sleep(chosen.choice([0, 0, 0.001, 0.005]))
            await asyncio.gather(*(f for *_, f in handed), return_exceptions=True)
            for topic, index, acknowledged in handed:
                if acknowledged.exception() is not None:
                    refused[name, topic].add(index)

    async def consume(subscription: Subscription) -> None:
        async for message in subscription:
            name, index, _ = message.data.split(b"|", 2)
            received[name.decode(), message.topic].append(int(index))
            seen["direct" if message.offset < 0 else "relayed"] += 1
            arrived.set()
            if chosen.random() < 0.002:
                await asyncio.sleep(0.01)

    async def stumble(running: RunningCoordinator, subscription: Subscription) -> None:
        while clock() < stop_at - 0.3:
            await asyncio.sleep(chosen.random() * 0.2)
            if cut and (not seen["cut"] or chosen.random() < 0.5):
                lanes = running.coordinator._lanes
                connections = [c for lane in lanes for c in lane._tasks.values()]
                if connections:
                    chosen.choice(connections).abort()
                    seen["cut"] += 1
            elif chosen.random() < 0.3:
                await subscription.pause()
                await asyncio.sleep(0.02)
                await subscription.resume()

    async def hog(client: Client) -> None:
        async with client.subscribe(
            "t.>", overflow_policy=OVERFLOW_POLICY_BLOCK, window_messages=50
        ) as subscription:
            async for message in subscription:
                if message.offset % 200 == 199:
                    await asyncio.sleep(0.15)

    async def play(running: RunningCoordinator, client: Client, subscription: Subscription) -> None:
        tasks = [asyncio.create_task(consume(subscription))]
        if full:
            tasks.append(asyncio.create_task(hog(client)))
        await asyncio.gather(
            *(produce(running, f"p{index}") for index in range(3)), stumble(running, subscription)
        )
        expected = {
            key: [index for index in range(count) if index not in refused[key]]
            for key, count in sent.items()
        }

        def without_refused(key: tuple[str, str]) -> list[int]:
            return [index for index in received[key] if index not in refused[key]]

        with suppress(TimeoutError):  # What has not come by then is shown below.
            while any(len(without_refused(key)) < len(expected[key]) for key in expected):
                arrived.clear()
                await within(arrived.wait(), 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key, indexes in expected.items():
            found = without_refused(key)
            missing = sorted(set(indexes) - set(found))
            assert found == indexes, f"seed {seed}: {key}, of {len(indexes)} missing {missing}"
        seen["streams"] = subscription.streams_opened

    async with running_coordinator(**limits) as running, connect(running.unix) as client:
        for topic in ("t.0", "t.1"):  # A stream lost before it knew them would begin at LATEST.
            await client.admin.create_topic(Topic(name=topic))
        options: dict[str, Any] = {
            "window_messages": chosen.choice([20, 200, 10_000]),
            "overflow_policy": OVERFLOW_POLICY_BLOCK,
        }
        async with client.subscribe("t.>", direct=True, **options) as subscription:
            await play(running, client, subscription)
        for topic in ("t.0", "t.1"):
            seen["refused"] += sum((await client.admin.topic_stats(topic)).refused_batches.values())
    return seen


def seeds(first: int, *more: int) -> list[Any]:
    """Return seeds as parameters; all but the first are slow together."""
    return [first, *(pytest.param(seed, marks=pytest.mark.slow) for seed in more)]


@pytest.mark.parametrize("seed", seeds(1, 2, 3))
async def test_three_publishers_and_a_subscriber_that_stumbles(seed) -> None:
    seen = await chaos(seed, cut=False, full=False)
    assert seen["direct"] > 0


@pytest.mark.parametrize("seed", seeds(4, 5, 6))
async def test_connections_that_are_lost_cost_and_repeat_nothing(seed) -> None:
    seen = await chaos(seed, cut=True, full=False)
    assert seen["cut"] > 0, "no connection was ever lost: the test shows nothing"


@pytest.mark.parametrize("seed", seeds(7, 8, 9))
async def test_batches_that_are_refused_and_sent_again_come_once_and_in_order(seed) -> None:
    seen = await chaos(seed, cut=False, full=True)
    assert seen["refused"] > 0, "nothing was ever refused: the test shows nothing"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(100, 160, 20))
async def test_many_more_of_each(first) -> None:
    total: Counter[str] = Counter()
    for seed in range(first, first + 20):
        total += await chaos(seed, cut=seed % 2 == 0, full=seed % 4 == 1)
    assert total["direct"] > 0
    assert total["relayed"] > 0
    assert total["streams"] > 20, "no stream was ever lost: the test shows nothing"  # Of 20 runs.
    assert total["refused"] > 0, "nothing was ever refused: the test shows nothing"
    assert total["direct"] > 0
    assert total["streams"] > 20, "no connection was lost"
