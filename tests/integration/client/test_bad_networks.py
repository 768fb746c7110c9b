"""Publishers and subscribers on a bad network: nothing is lost, doubled or overtaken, and they find back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED
from bellwire.bus.v1.subscriber_pb2 import OVERFLOW_POLICY_BLOCK
from bellwire.client import (
    EARLIEST,
    BufferFullError,
    Client,
    ClientSettings,
    Message,
    Subscription,
    connect,
    new_message,
)
from bellwire.client._outbox import Outbox
from bellwire.client._stream_subscription import StreamSubscription
from bellwire.client.settings import PublishSettings
from bellwire.testing import ChaosProxy, running_coordinator
from bellwire.transport.channel import TransportSettings

pytestmark = pytest.mark.integration

DEADLINE_SECONDS = 30.0
# Beats fast, so that three missed ones are soon noticed; otherwise what everybody has.
SETTINGS = ClientSettings(timeout_seconds=DEADLINE_SECONDS, heartbeat_seconds=0.1)
NOTICED_SECONDS = 3 * 0.1
NOTICED_BY_KEEPALIVE_SECONDS = (
    45.0  # At the latest the coordinator pings after 20 s and waits 10 s.
)
REDIALS = 12  # Of all streams together: in some 3 s every backoff has grown.
COUNT = 2_000
SEEDS = range(3)


def numbered(count: int, start: int = 0) -> list[Message]:
    return [new_message(data=str(start + n).encode()) for n in range(count)]


@asynccontextmanager
async def bad_network(
    seed: int = 0, settings: ClientSettings = SETTINGS
) -> AsyncIterator[tuple[ChaosProxy, Client, Client]]:
    """Give a proxy, a client behind it, and one that reaches the coordinator directly."""
    async with (
        running_coordinator(heartbeat_seconds=0.1) as running,
        ChaosProxy(running.tcp, seed=seed) as proxy,
        connect(running.unix) as direct,
        connect(proxy.address, settings) as client,
        asyncio.timeout(DEADLINE_SECONDS),
    ):
        yield proxy, client, direct


async def in_the_log(direct: Client, count: int) -> list[int]:
    """Return the numbers of all messages of topic "bars"; there must be `count`."""
    stats = await direct.admin.topic_stats("bars")
    replayed = [int(message.data) async for message in direct.replay("bars", speed=0)]
    assert stats.published_messages == len(replayed) == count
    return replayed


async def read_all(subscription: Subscription, count: int) -> list[int]:
    numbers: list[int] = []
    async for received in subscription:
        numbers.append(int(received.data))
        if len(numbers) == count:
            return numbers
    return numbers


async def disturb(proxy: ChaosProxy, chance: random.Random) -> None:
    """Cut, stall, trickle and delay the line at random, until cancelled."""
    while True:
        await asyncio.sleep(chance.uniform(0.01, 0.05))  # The pace of the disturbances.
        match chance.choice(("reset", "fin", "stall", "trickle", "delay")):
            case "reset":
                proxy.cut(reset=True)
            case "fin":
                proxy.cut(reset=False)
            case "stall":
                way = chance.choice((proxy.up, proxy.down))
                way.stall()
                await asyncio.sleep(chance.uniform(0.01, 0.1))  # How long the line is stuck.
                way.resume()
            case "trickle":
                proxy.up.bytes_per_second = chance.choice((0, 200_000))
            case "delay":
                proxy.down.delay_seconds = chance.choice((0.0, 0.02))
                proxy.down.jitter_seconds = chance.choice((0.0, 0.02))


@asynccontextmanager
async def disturbing(proxy: ChaosProxy, seed: int) -> AsyncIterator[None]:
    """A bad network as long as the block runs, and a good one after it."""
    task = asyncio.create_task(disturb(proxy, random.Random(seed)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        proxy.heal()


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_published_over_a_bad_network_is_in_the_log_once_and_in_order(
    seed: int,
) -> None:
    async with bad_network(seed) as (proxy, client, direct):
        publisher = client.publisher()
        async with disturbing(proxy, seed):
            for start in range(0, COUNT, 100):
                await publisher.publish_many("bars", numbered(100, start))
                await asyncio.sleep(0.01)  # The load's pace.
        assert proxy.accepted > 2, "no line was ever cut: the test shows nothing"
        assert await in_the_log(direct, COUNT) == list(range(COUNT))


@pytest.mark.parametrize("name", ["risk", ""], ids=["named", "ephemeral"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_read_over_a_bad_network_comes_once_and_in_order(
    seed: int, name: str
) -> None:
    async with bad_network(seed) as (proxy, client, direct):
        await direct.publisher().publish("bars", b"0")
        async with client.subscribe(
            "bars",
            subscription=name,
            start=EARLIEST,
            window_messages=200,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
        ) as subscription:
            reading = asyncio.create_task(read_all(subscription, COUNT))
            async with disturbing(proxy, seed):
                for start in range(1, COUNT, 50):
                    count = min(50, COUNT - start)
                    await direct.publisher().publish_many("bars", numbered(count, start))
                    await asyncio.sleep(0.01)  # The load's pace.
            assert await reading == list(range(COUNT))
            assert subscription.streams_opened > 1, "no line was ever cut: the test shows nothing"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what there is no event for; the deadline is that of `bad_network`."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def reopened(subscription: Subscription) -> None:
    await until(lambda: subscription.streams_opened > 1)


@pytest.mark.parametrize("both", [True, False], ids=["both ways", "down"])
async def test_a_subscriber_leaves_a_half_open_line_within_three_heartbeats_and_misses_nothing(
    both: bool,
) -> None:
    loop = asyncio.get_running_loop()
    async with (
        bad_network() as (proxy, client, direct),
        client.subscribe("bars", subscription="risk", settle="manual") as subscription,
    ):
        await direct.publisher().publish("bars", b"0")
        iterator = aiter(subscription)
        await subscription.accept(await anext(iterator))
        proxy.down.half_open()
        if both:
            proxy.up.half_open()
        broken_at = loop.time()
        await direct.publisher().publish("bars", b"1")
        assert isinstance(subscription, StreamSubscription)
        link = subscription._link
        await until(lambda: "nothing was heard" in link.trouble())
        assert loop.time() - broken_at < 2 * NOTICED_SECONDS
        assert proxy.down.swallowed_bytes > 0
        proxy.heal()
        assert (await anext(iterator)).data == b"1"


@pytest.mark.parametrize("both", [True, False], ids=["both ways", "down"])
async def test_a_publisher_leaves_a_half_open_line_and_what_it_sent_is_appended_once(
    both: bool,
) -> None:
    loop = asyncio.get_running_loop()
    async with bad_network() as (proxy, client, direct):
        publisher = client.publisher()
        await publisher.publish("bars", b"0")
        proxy.down.half_open()
        if both:
            proxy.up.half_open()
        broken_at = loop.time()
        publishing = asyncio.create_task(publisher.publish_many("bars", numbered(500, 1)))
        outbox = client._routes.outboxes.shared(ACK_LEVEL_UNSPECIFIED, control=False)
        assert isinstance(outbox, Outbox)
        link = outbox._link
        await until(lambda: "nothing was heard" in link.trouble())
        assert loop.time() - broken_at < 2 * NOTICED_SECONDS
        proxy.heal()
        await publishing
        assert await in_the_log(direct, 501) == list(range(501))


async def test_delay_and_trickle_slow_things_down_and_change_nothing_else() -> None:
    async with bad_network(seed=9) as (proxy, client, direct):
        for way in (proxy.up, proxy.down):
            way.delay_seconds, way.jitter_seconds = 0.01, 0.02
            way.bytes_per_second = 500_000
        async with client.subscribe("bars", subscription="risk") as subscription:
            publisher = client.publisher()
            futures = [await publisher.enqueue("bars", message) for message in numbered(COUNT)]
            reading = asyncio.create_task(read_all(subscription, COUNT))
            assert [(await future).offset for future in futures] == list(range(COUNT))
            assert await reading == list(range(COUNT))
            assert subscription.streams_opened == 1
        assert await in_the_log(direct, COUNT) == list(range(COUNT))


async def test_a_stalled_line_fills_bounded_buffers_and_goes_on_without_loss() -> None:
    settings = replace(
        SETTINGS, heartbeat_seconds=30.0, publish=PublishSettings(buffer_messages_max=1_000)
    )
    async with bad_network(settings=settings) as (proxy, client, direct):
        publisher = client.publisher()
        await publisher.publish("bars", b"0")
        proxy.up.stall()
        for message in numbered(1_000, 1):
            await publisher.enqueue("bars", message)
        with pytest.raises(BufferFullError, match="holds 1000 messages"):
            await publisher.enqueue("bars", new_message(data=b"more"), timeout=0.1)
        proxy.up.resume()
        await publisher.flush()
        assert await in_the_log(direct, 1_001) == list(range(1_001))


async def test_a_subscriber_that_is_not_read_holds_no_more_than_its_window() -> None:
    async with (
        bad_network() as (_, client, direct),
        client.subscribe(
            "bars", subscription="risk", window_messages=100, settle="manual"
        ) as subscription,
    ):
        await direct.publisher().publish_many("bars", numbered(COUNT))
        assert isinstance(subscription, StreamSubscription)
        inbox = subscription._side.inbox
        await until(lambda: inbox._messages == 100)
        stats = await direct.admin.topic_stats("bars")
        assert stats.subscriptions[0].in_flight_messages == inbox._messages == 100


async def test_who_reads_from_the_beginning_misses_nothing_of_a_topic_made_while_the_line_is_cut() -> (
    None
):
    async with bad_network() as (proxy, client, direct):
        await direct.publisher().publish("bars", b"0")
        async with client.subscribe(">", start=EARLIEST) as everything:
            assert await read_all(everything, 1) == [0]
            proxy.accepts = False
            proxy.cut()
            await direct.publisher().publish_many("ticks", numbered(5, 1))
            proxy.heal()
            assert await read_all(everything, 5) == list(range(1, 6))


async def test_a_pause_outlives_a_cut_line() -> None:
    async with (
        bad_network() as (proxy, client, direct),
        client.subscribe("bars", subscription="risk", settle="manual") as subscription,
    ):
        await direct.publisher().publish("bars", b"0")
        first = await anext(aiter(subscription))
        await subscription.accept(first)
        await subscription.pause()
        proxy.cut()
        await reopened(subscription)
        opened_at = asyncio.get_running_loop().time()
        # The pause goes first on the new stream; a heartbeat of ours behind it is answered.
        assert isinstance(subscription, StreamSubscription)
        link = subscription._link
        await until(lambda: link._heard_at > opened_at + 2 * NOTICED_SECONDS)
        await direct.publisher().publish_many("bars", numbered(10, 1))
        reading = asyncio.create_task(read_all(subscription, 10))
        done, _ = await asyncio.wait([reading], timeout=0.3)
        assert not done
        await subscription.resume()
        assert await reading == list(range(1, 11))


async def test_an_outage_ends_at_once_for_every_stream_of_a_client() -> None:
    loop = asyncio.get_running_loop()
    async with bad_network() as (proxy, client, _):
        publisher = client.publisher()
        async with client.subscribe("bars", subscription="risk") as subscription:
            await publisher.publish("bars", b"0")
            assert await read_all(subscription, 1) == [0]
            proxy.accepts = False
            proxy.cut()
            publishing = asyncio.create_task(publisher.publish("bars", b"1"))
            before = proxy.accepted
            await until(lambda: proxy.accepted >= before + REDIALS)
            proxy.heal()
            healed_at = loop.time()
            await publishing
            back_after = loop.time() - healed_at
            reading = await read_all(subscription, 1)
            assert reading in ([0], [1])
            assert back_after < 1.0, "a backoff of the outage is still waited for"


# ---------------------------------------------------------------- what takes as long as keepalive


async def left_after(proxy: ChaosProxy, publishing: asyncio.Task[object]) -> float:
    """Return how long it took until the client dialled again; then the network is good again."""
    loop = asyncio.get_running_loop()
    lines, began = proxy.accepted, loop.time()
    await until(lambda: proxy.accepted > lines)
    seconds = loop.time() - began
    proxy.heal()
    await publishing
    return seconds


KEPT_ALIVE = ClientSettings(
    timeout_seconds=120.0,
    heartbeat_seconds=300.0,  # Says nothing: only the pings of gRPC tell.
    transport=TransportSettings(keepalive_seconds=10.0, keepalive_timeout_seconds=2.0),
)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_without_heartbeats_a_half_open_line_is_noticed_by_keepalive() -> None:
    async with (
        running_coordinator(heartbeat_seconds=300.0) as running,
        ChaosProxy(running.tcp) as proxy,
        connect(proxy.address, KEPT_ALIVE) as client,
    ):
        publisher = client.publisher()
        await publisher.publish("bars", b"0")
        proxy.up.half_open()
        proxy.down.half_open()
        publishing = asyncio.create_task(publisher.publish("bars", b"1"))
        seconds = await left_after(proxy, publishing)
        print(f"\na half-open line without heartbeats was left after {seconds:.1f} s")
        assert seconds < 10.0 + 2.0 + 3.0


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_line_that_is_dead_only_upwards_is_noticed_by_keepalive() -> None:
    """The coordinator still beats, so heartbeats tell nothing: the pings of one side or the other do."""
    async with (
        running_coordinator() as running,
        ChaosProxy(running.tcp) as proxy,
        connect(running.unix) as direct,
        connect(proxy.address, replace(KEPT_ALIVE, heartbeat_seconds=10.0)) as client,
    ):
        publisher = client.publisher()
        await publisher.publish("bars", b"0")
        proxy.up.half_open()
        publishing = asyncio.create_task(publisher.publish("bars", b"1"))
        seconds = await left_after(proxy, publishing)
        print(f"\na line dead upwards was left after {seconds:.1f} s")
        assert seconds < NOTICED_BY_KEEPALIVE_SECONDS
        assert await in_the_log(direct, 2) == [0, 1]
