"""Guarantees on every form of the bus: dead letters, leases, seek, replay, named producers, idempotency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.integration.conftest import OpenBus

from bellwire.admin.v1.dead_letter_pb2 import (
    DEAD_LETTER_CAUSE_MAX_ATTEMPTS,
    DEAD_LETTER_CAUSE_REJECTED,
    DeadLetter,
    DeadLetterFilter,
    RedriveDeadLettersResponse,
)
from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, Agent, Capability
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED
from bellwire.bus.v1.subscriber_pb2 import ORDERING_NONE
from bellwire.client import (
    EARLIEST,
    LATEST,
    CallerError,
    ClosedError,
    IdempotencyKeyReusedError,
    IncomingCall,
    LeaseExpiredError,
    Message,
    OffsetOutOfRangeError,
    ProducerFencedError,
    SettleFailure,
    UnknownDeliveryTagError,
    UnknownSubscriptionError,
    UnknownTopicError,
    at_positions,
    at_time,
    new_message,
)
from bellwire.client.protocol import BusClient, BusSubscription

pytestmark = pytest.mark.integration

DEADLINE_SECONDS = 20.0
LEASE_SECONDS = 1.0  # The shortest there is.
SECOND = 1_000_000_000


def numbered(count: int, **fields) -> list[Message]:
    return [new_message(data=str(n).encode(), **fields) for n in range(count)]


async def take(subscription: BusSubscription, count: int) -> list[int]:
    """Return the numbers of the next messages, accepted."""
    iterator = aiter(subscription)
    async with asyncio.timeout(DEADLINE_SECONDS):
        numbers = []
        for _ in range(count):
            received = await anext(iterator)
            numbers.append(int(received.data))
            await subscription.accept(received)
        return numbers


async def letters(client: BusClient, topic: str, *args, **options) -> list[DeadLetter]:
    return [letter async for letter in client.admin.dead_letters(topic, *args, **options)]


async def reject_all(client: BusClient, count: int, name: str = "risk") -> None:
    """Make `count` dead letters of a subscription."""
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        client.subscribe("bars", subscription=name, start=LATEST, settle="manual") as subscription,
    ):
        await client.publisher().publish_many("bars", numbered(count))
        iterator = aiter(subscription.batches())
        while count > 0:
            batch = await anext(iterator)
            count -= len(batch)
            await batch.reject(reason="cannot be parsed")


# ---------------------------------------------------------------- dead letters


async def test_a_rejected_message_is_a_dead_letter_with_all_that_is_known_of_it(
    client: BusClient,
) -> None:
    message = new_message(data=b"poison", key="EURUSD", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    before = time.time_ns()
    await client.publisher().publish_message("bars", message)
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        await client.publisher().publish("bars", b"1")
        iterator = aiter(subscription)
        await subscription.reject(await anext(iterator), reason="cannot be parsed")
        following = await anext(iterator)
        assert following.data == b"1"
        await subscription.accept(following)
    (letter,) = await letters(client, "bars")
    assert letter.message == message
    assert (letter.position.topic, letter.position.partition, letter.position.offset) == (
        "bars",
        0,
        0,
    )
    assert (letter.reason, letter.subscription, letter.attempts) == ("cannot be parsed", "risk", 1)
    assert letter.cause == DEAD_LETTER_CAUSE_REJECTED
    assert before <= letter.time_unix_nano <= time.time_ns()
    async with client.subscribe("bars", subscription="risk") as later:
        await client.publisher().publish("bars", b"2")
        assert await take(later, 1) == [2]


async def test_a_message_released_too_often_is_a_dead_letter_and_the_next_one_is_delivered(
    client: BusClient,
) -> None:
    await client.publisher().publish_many("bars", numbered(2))
    seen: list[tuple[int, int]] = []
    async with client.subscribe(
        "bars", subscription="risk", max_attempts=3, settle="manual", window_messages=1
    ) as subscription:
        async for received in subscription:
            seen.append((int(received.data), received.attempt))
            if received.data == b"1":
                await subscription.accept(received)
                break
            await subscription.release(received)
    assert seen == [(0, 0), (0, 1), (0, 2), (1, 0)]
    (letter,) = await letters(client, "bars")
    assert (letter.cause, letter.attempts) == (DEAD_LETTER_CAUSE_MAX_ATTEMPTS, 3)


async def test_dead_letters_are_listed_page_by_page_and_filtered(client: BusClient) -> None:
    await reject_all(client, 25)
    found = await letters(client, "bars", page_size=10)
    assert [int(letter.message.data) for letter in found] == list(range(25))
    assert [letter.id for letter in found] == sorted(letter.id for letter in found)
    chosen = DeadLetterFilter(ids=[found[3].id, found[7].id])
    assert [int(letter.message.data) for letter in await letters(client, "bars", chosen)] == [3, 7]
    assert await letters(client, "bars", DeadLetterFilter(subscription="other")) == []
    assert len(await letters(client, "bars", DeadLetterFilter(reason_contains="parsed"))) == 25


async def test_purging_counts_first_and_then_deletes(client: BusClient) -> None:
    await reject_all(client, 5)
    assert (await client.admin.purge("bars", dry_run=True)).messages == 5
    assert len(await letters(client, "bars")) == 5
    assert (await client.admin.purge("bars")).messages == 5
    assert await letters(client, "bars") == []


async def test_redriven_messages_reach_only_the_subscription_that_gave_them_up(
    client: BusClient,
) -> None:
    await reject_all(client, 3)
    async with (
        client.subscribe("bars", subscription="other", start=LATEST) as other,
        client.subscribe("bars", subscription="risk") as risk,
    ):
        counted = await client.admin.redrive("bars", dry_run=True)
        assert (counted.messages, counted.remaining_messages) == (3, 0)
        redriven = await client.admin.redrive("bars", max_messages=2)
        assert (redriven.messages, redriven.remaining_messages) == (2, 1)
        assert await take(risk, 2) == [0, 1]
        await client.publisher().publish("bars", b"9")
        assert await take(other, 1) == [9]
    assert [int(letter.message.data) for letter in await letters(client, "bars")] == [2]


async def test_redriving_all_goes_on_until_nothing_remains_and_tells_how_far_it_is(
    client: BusClient,
) -> None:
    await reject_all(client, 1_200)
    told: list[tuple[int, int]] = []

    def on_progress(total: RedriveDeadLettersResponse) -> None:
        told.append((total.messages, total.remaining_messages))

    total = await client.admin.redrive_all("bars", limit=100, on_progress=on_progress)
    assert (total.messages, total.remaining_messages, told) == (100, 1_100, [(100, 1_100)])
    told.clear()
    async with client.subscribe("bars", subscription="risk", settle="manual") as risk:
        total = await client.admin.redrive_all("bars", on_progress=on_progress)
        assert (total.messages, total.remaining_messages) == (1_100, 0)
        assert told[-1] == (1_100, 0)
        assert len(told) > 1
        assert sorted(await take(risk, 1_200)) == list(range(1_200))
    assert await letters(client, "bars") == []


async def test_what_is_rejected_while_redriving_is_not_redriven_again(client: BusClient) -> None:
    await reject_all(client, 3)
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        rejecting = asyncio.create_task(_reject_each(subscription, 3))
        total = await client.admin.redrive_all("bars")
        async with asyncio.timeout(DEADLINE_SECONDS):
            await rejecting
    assert total.messages == 3
    assert len(await letters(client, "bars")) == 3


async def _reject_each(subscription: BusSubscription, count: int) -> None:
    async for received in subscription:
        await subscription.reject(received, reason="again")
        count -= 1
        if not count:
            return


# ---------------------------------------------------------------- leases, pause


async def test_a_message_that_is_never_settled_comes_again_when_its_lease_ends(
    client: BusClient,
) -> None:
    await client.publisher().publish("bars", b"1")
    failures: asyncio.Queue[SettleFailure] = asyncio.Queue()
    async with client.subscribe(
        "bars",
        subscription="risk",
        settle="manual",
        lease_seconds=LEASE_SECONDS,
        on_settle_failure=failures.put_nowait,
    ) as subscription:
        iterator = aiter(subscription)
        first = await anext(iterator)
        async with asyncio.timeout(DEADLINE_SECONDS):
            again = await anext(iterator)
            assert (again.offset, again.attempt) == (first.offset, 1)
            await subscription.accept(first)  # Too late: the coordinator says so.
            failure = await failures.get()
        assert isinstance(failure.error, LeaseExpiredError)
        assert first.settled, "there is nothing left to settle"
        await subscription.accept(again)
    stats = await client.admin.topic_stats("bars")
    assert [s.in_flight_messages for s in stats.subscriptions] == [0]


async def test_a_renewed_lease_does_not_end(client: BusClient) -> None:
    await client.publisher().publish("bars", b"1")
    async with client.subscribe(
        "bars", subscription="risk", settle="manual", lease_seconds=LEASE_SECONDS
    ) as subscription:
        iterator = aiter(subscription)
        received = await anext(iterator)
        again = asyncio.ensure_future(anext(iterator))
        for _ in range(5):
            done, _ = await asyncio.wait([again], timeout=0.3)
            assert not done
            await subscription.renew(received)
        await subscription.accept(received)
        with pytest.raises(UnknownDeliveryTagError, match="settled already"):
            await subscription.renew(received)
        await client.publisher().publish("bars", b"2")
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert (await again).data == b"2"
        assert subscription.settle_failures == ()


async def test_a_paused_subscription_gets_nothing_until_it_resumes(client: BusClient) -> None:
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        await client.publisher().publish("bars", b"0")
        assert await take(subscription, 1) == [0]
        await subscription.pause()
        await _until_settled(client)
        await client.publisher().publish("bars", b"1")
        reading = asyncio.create_task(take(subscription, 1))
        done, _ = await asyncio.wait([reading], timeout=0.1)
        assert not done
        await subscription.resume()
        assert await reading == [1]


async def _until_settled(client: BusClient) -> None:
    """Wait until a settlement was applied: what was sent before it was, too."""
    stats = await client.admin.topic_stats("bars")
    while stats.subscriptions[0].in_flight_messages:
        stats = await client.admin.topic_stats("bars")


# ---------------------------------------------------------------- seek, replay


async def test_a_subscription_is_moved_to_the_beginning_the_end_a_time_and_an_offset(
    client: BusClient,
) -> None:
    for n in range(5):
        await client.publisher().publish("bars", str(n).encode(), time_unix_nano=(n + 1) * SECOND)
    seek = client.admin.seek
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        assert await take(subscription, 5) == [0, 1, 2, 3, 4]
        (position,) = await seek("risk", EARLIEST)
        assert (position.topic, position.partition, position.offset) == ("bars", 0, 0)
        assert await take(subscription, 5) == [0, 1, 2, 3, 4]
        await seek("risk", at_time(3 * SECOND))
        assert await take(subscription, 3) == [2, 3, 4]
        await seek("risk", at_positions([Position(topic="bars", partition=0, offset=4)]))
        assert await take(subscription, 1) == [4]
        await seek("risk", EARLIEST)
        await seek("risk", LATEST)
        await client.publisher().publish("bars", b"5")
        # What was on its way before the second move may still come; then the new one.
        last = [await take(subscription, 1)]
        while last[-1] != [5]:
            last.append(await take(subscription, 1))


async def test_a_seek_outside_the_log_moves_nothing_and_says_what_there_is(
    client: BusClient,
) -> None:
    await client.publisher().publish_many("bars", numbered(3))
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        assert await take(subscription, 3) == [0, 1, 2]
        beyond = at_positions([Position(topic="bars", partition=0, offset=99)])
        with pytest.raises(OffsetOutOfRangeError, match="99"):
            await client.admin.seek("risk", beyond)
        await client.publisher().publish("bars", b"3")
        assert await take(subscription, 1) == [3]
    with pytest.raises(UnknownSubscriptionError, match="'nobody'"):
        await client.admin.seek("nobody", EARLIEST)


async def test_a_deleted_subscription_begins_anew(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(3))
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        assert await take(subscription, 3) == [0, 1, 2]
        with pytest.raises(CallerError, match="risk"):
            await client.admin.delete_subscription("risk")
    await client.admin.delete_subscription("risk")
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        assert await take(subscription, 3) == [0, 1, 2]


async def test_a_replay_brings_all_of_a_stretch_marked_and_leaves_no_trace(
    open_bus: OpenBus,
) -> None:
    async with open_bus(default_partitions=3) as clients, clients() as client:
        messages = [
            new_message(data=str(n).encode(), key=f"K{n % 7}", time_unix_nano=(n + 1) * SECOND)
            for n in range(100)
        ]
        for message in messages:
            await client.publisher().publish_message("bars", message)
        replayed = [message async for message in client.replay("bars", speed=0)]
        assert sorted(int(message.data) for message in replayed) == list(range(100))
        assert all(message.replayed and message.settled for message in replayed)
        stretch = client.replay(
            "bars", start=at_time(51 * SECOND), until_time_unix_nano=61 * SECOND, speed=0
        )
        assert sorted([int(m.data) async for m in stretch]) == list(range(50, 60))
        assert (await client.admin.topic_stats("bars")).subscriptions == []


async def test_a_paced_replay_keeps_the_order_of_times_and_takes_its_time(
    open_bus: OpenBus,
) -> None:
    async with open_bus(default_partitions=2) as clients, clients() as client:
        for n in range(6):
            await client.publisher().publish(
                "bars", str(n).encode(), key=f"K{n}", time_unix_nano=(n + 1) * SECOND
            )
        began = time.monotonic()
        replayed = [int(message.data) async for message in client.replay("bars", speed=20)]
        assert replayed == list(range(6))
        assert time.monotonic() - began >= 5 / 20 * 0.9


async def test_a_replay_can_be_left_early_and_then_is_over(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(500))
    async with client.replay("bars", speed=0) as replay:
        async for batch in replay.batches():
            assert batch.replayed
            await batch.accept()  # Harmless: whoever handles batches need not know.
            break
    with pytest.raises(ClosedError, match="'bars'"):
        await anext(aiter(replay))
    with pytest.raises(UnknownTopicError, match="'nothing'"):
        await anext(aiter(client.replay("nothing")))


async def test_a_replay_under_way_ends_with_its_client(open_bus: OpenBus) -> None:
    async with open_bus() as clients:
        async with clients() as client:
            for n in range(2):
                time_unix_nano = 1 + n * 3_600 * SECOND
                await client.publisher().publish("bars", b"x", time_unix_nano=time_unix_nano)
            replay = aiter(client.replay("bars", speed=1))
            await anext(replay)
            waiting = asyncio.ensure_future(anext(replay, None))
            await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await waiting is None


# ---------------------------------------------------------------- producers


async def test_a_named_producer_is_fenced_by_its_next_instance_for_good(open_bus: OpenBus) -> None:
    async with open_bus() as clients, clients() as first, clients() as second:
        old = first.publisher(producer_name="execution/paper-0")
        assert (await old.publish("orders", b"0")).offset == 0
        new = second.publisher(producer_name="execution/paper-0")
        await new.ready()
        for _ in range(2):
            with pytest.raises(ProducerFencedError, match="taken over"):
                await old.publish("orders", b"1")
        assert (await new.publish("orders", b"2")).offset == 1
        assert (await first.publisher().publish("orders", b"3")).offset == 2
    # Leaving `first` raised nothing: what was fenced is told already.


async def test_a_named_producer_has_one_level_and_one_stream_for_all_its_topics(
    client: BusClient,
) -> None:
    named = client.publisher(producer_name="execution/paper-0")
    assert client.publisher(producer_name="execution/paper-0") is named
    assert (await named.publish("control.killswitch", b"1")).offset == 0
    assert (await named.publish("orders", b"1")).offset == 0
    await named.flush()
    with pytest.raises(CallerError, match="fence the first"):
        client.publisher(producer_name="execution/paper-0", ack_level=ACK_LEVEL_RECEIVED)


@pytest.mark.memory_topics
async def test_the_level_reached_is_told(client: BusClient) -> None:
    publisher = client.publisher()
    assert (await publisher.publish("bars", b"1")).ack_level == ACK_LEVEL_RECEIVED
    (range_,) = await publisher.publish_many("bars", numbered(10))
    assert range_.ack_level == ACK_LEVEL_RECEIVED


async def test_a_message_is_not_delivered_before_its_time(client: BusClient) -> None:
    async with client.subscribe(
        "bars", subscription="risk", ordering=ORDERING_NONE, settle="manual"
    ) as subscription:
        due = time.time_ns() + SECOND // 2
        await client.publisher().publish("bars", b"1", not_before_time_unix_nano=due)
        await client.publisher().publish_payloads("bars", [b"2", b"3"])
        assert await take(subscription, 3) == [2, 3, 1]
        assert time.time_ns() >= due


# ---------------------------------------------------------------- idempotent requests


async def test_publishing_once_appends_once_however_often_it_is_called(client: BusClient) -> None:
    publisher, messages = client.publisher("agents/feed-0"), numbered(3)
    (first,) = await publisher.publish_once("bars", messages, request_id="day-1")
    (again,) = await publisher.publish_once("bars", messages, request_id="day-1")
    assert (first.first_offset, first.last_offset, first.duplicate) == (0, 2, False)
    assert (again.first_offset, again.last_offset, again.duplicate) == (0, 2, True)
    with pytest.raises(IdempotencyKeyReusedError, match="day-1"):
        await publisher.publish_once("bars", numbered(3), request_id="day-1")
    assert (await client.admin.topic_stats("bars")).published_messages == 3


async def test_the_same_request_under_the_same_id_is_carried_out_once(client: BusClient) -> None:
    admin, topic = client.admin, Topic(name="bars", partition_count=2)
    made = await admin.create_topic(topic, request_id="a")
    await admin.delete_topic("bars", request_id="b")
    assert await admin.create_topic(topic, request_id="a") == made
    assert await admin.list_topics() == [], "the stored answer was carried out again"
    with pytest.raises(IdempotencyKeyReusedError):
        await admin.create_topic(Topic(name="other"), request_id="a")
    await admin.delete_topic("bars", request_id="b")
    with pytest.raises(UnknownTopicError):
        await admin.delete_topic("bars", request_id="c")


async def test_a_repeated_seek_redrive_and_purge_do_nothing_more(client: BusClient) -> None:
    await reject_all(client, 4)
    first = await client.admin.redrive("bars", max_messages=2, request_id="redrive")
    assert await client.admin.redrive("bars", max_messages=2, request_id="redrive") == first
    assert (await client.admin.purge("bars", request_id="purge")).messages == 2
    await reject_all(client, 5, "other")
    assert (await client.admin.purge("bars", request_id="purge")).messages == 2
    assert len(await letters(client, "bars")) == 5, "the stored purge was carried out again"
    end = await client.admin.seek("risk", LATEST, request_id="seek")
    await client.publisher().publish("bars", b"5")
    assert await client.admin.seek("risk", LATEST, request_id="seek") == end


@asynccontextmanager
async def answering(client: BusClient) -> AsyncIterator[list[bytes]]:
    """An agent with one tool; gives the arguments of the calls it got."""
    calls: list[bytes] = []
    tool = Capability(name="buy", kind=CAPABILITY_KIND_TOOL, input_schema_json=b"{}")
    async with client.agent_stream(
        Agent(agent_id="paper-0", capabilities=[tool], max_in_flight=8)
    ) as stream:

        async def answer() -> None:
            async for event in stream:
                if isinstance(event, IncomingCall):
                    calls.append(event.call.arguments)
                    await event.reply(b'{"filled": %d}' % len(calls))

        task = asyncio.create_task(answer())
        try:
            yield calls
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_call_under_a_request_id_reaches_the_agent_once(client: BusClient) -> None:
    async with answering(client) as calls:
        first = await client.call("buy", {"lots": 1}, request_id="order-1")
        again = await client.call("buy", {"lots": 1}, request_id="order-1")
        assert (first.json(), first.replayed) == ({"filled": 1}, False)
        assert (again.json(), again.replayed) == ({"filled": 1}, True)
        tool = await client.call_tool("buy", {"lots": 1}, request_id="order-1")
        same = await client.call_tool("buy", {"lots": 1}, request_id="order-1")
        assert (tool.json(), tool.replayed, same.json(), same.replayed) == (
            {"filled": 2},
            False,
            {"filled": 2},
            True,
        )
        with pytest.raises(IdempotencyKeyReusedError):
            await client.call("buy", {"lots": 2}, request_id="order-1")
        assert len(calls) == 2


# ---------------------------------------------------------------- admin


async def test_the_settings_of_a_topic_are_changed(client: BusClient) -> None:
    made = await client.admin.create_topic(Topic(name="bars", retention_messages=1_000))
    made.retention_messages = 2_000
    changed = await client.admin.update_topic(made)
    assert changed.retention_messages == 2_000
    assert await client.admin.get_topic("bars") == changed
    with pytest.raises(UnknownTopicError):
        await client.admin.get_topic("nothing")


@pytest.mark.memory_topics
async def test_a_coordinator_without_a_store_says_so(client: BusClient) -> None:
    assert not (await client.admin.server_info()).HasField("store")
