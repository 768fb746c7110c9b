"""One suite for the real client on a real coordinator and for the bus in memory: both behave the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.integration.conftest import OpenBus

from bellwire.admin.v1.topic_pb2 import Topic
from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, Agent, Capability, LoadReport
from bellwire.bus.v1.message_pb2 import Position
from bellwire.bus.v1.subscriber_pb2 import (
    OVERFLOW_POLICY_BLOCK,
    OVERFLOW_POLICY_DISCONNECT,
    OVERFLOW_POLICY_DROP_OLDEST,
)
from bellwire.client import (
    EARLIEST,
    AgentExistsError,
    AgentFailedError,
    AgentLostError,
    CallCancelled,
    CallerError,
    Client,
    ClientSettings,
    ClosedError,
    DeadlineExceededError,
    IncomingCall,
    InvalidTopicNameError,
    Message,
    NoCapableAgentError,
    PayloadTooLargeError,
    SlowSubscriberError,
    SubscriptionMismatchError,
    TopicExistsError,
    UnknownToolError,
    UnknownTopicError,
    at_positions,
    at_time,
    new_message,
)
from bellwire.client.protocol import BusClient
from bellwire.trading.v1.market_data_pb2 import Bar
from bellwire.wire.errors import UnknownDeliveryTagError
from bellwire.wire.partitioner import partition_for_key

pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20


def numbered(count: int, *, key: str = "", start: int = 0) -> list[Message]:
    return [new_message(data=str(start + n).encode(), key=key) for n in range(count)]


# ---------------------------------------------------------------- publish and receive


async def test_a_message_arrives_with_every_field_it_was_published_with(client: BusClient) -> None:
    bar = Bar(symbol="EURUSD")
    await client.publisher("agents/feed-0").publish(
        "bars.1h",
        bar,
        key="EURUSD",
        subject="EURUSD",
        time_unix_nano=1_700_000_000_000_000_000,
        correlation_id="c",
        causation_id="d",
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-00",
        attributes={"venue": "x"},
    )
    async with client.subscribe("bars.1h", start=EARLIEST) as subscription:
        received = await anext(aiter(subscription))
    assert received.type == "bellwire.trading.v1.Bar"
    assert Bar.FromString(received.data) == bar
    assert (received.source, received.key, received.subject) == (
        "agents/feed-0",
        "EURUSD",
        "EURUSD",
    )
    assert received.time_unix_nano == 1_700_000_000_000_000_000
    assert (received.correlation_id, received.causation_id) == ("c", "d")
    assert received.traceparent.endswith("-00")
    assert dict(received.attributes) == {"venue": "x"}
    assert (received.topic, received.partition, received.offset) == ("bars.1h", 0, 0)
    assert (received.attempt, received.replayed, len(received.id)) == (0, False, 36)


async def test_publish_tells_where_the_message_is(client: BusClient) -> None:
    publisher = client.publisher()
    results = [await publisher.publish("signals", str(n).encode()) for n in range(3)]
    assert [(r.topic, r.partition, r.offset, r.duplicate) for r in results] == [
        ("signals", 0, n, False) for n in range(3)
    ]


async def test_publish_many_keeps_the_order_of_each_key_over_partitions(open_bus: OpenBus) -> None:
    async with open_bus(default_partitions=4) as clients, clients() as client:
        messages = [new_message(data=str(n).encode(), key=f"K{n % 7}") for n in range(1_000)]
        ranges = await client.publisher().publish_many("bars", messages)
        assert sum(map(len, ranges)) == 1_000
        assert {r.partition for r in ranges} == {partition_for_key(f"K{n}", 4) for n in range(7)}
        seen: dict[str, list[int]] = {}
        async with client.subscribe("bars", start=EARLIEST) as subscription:
            iterator = aiter(subscription)
            for _ in messages:
                received = await anext(iterator)
                assert received.partition == partition_for_key(received.key, 4)
                seen.setdefault(received.key, []).append(int(received.data))
        assert seen == {f"K{k}": list(range(k, 1_000, 7)) for k in range(7)}


async def test_payloads_of_one_key_arrive_in_order_under_one_envelope(open_bus: OpenBus) -> None:
    async with open_bus(default_partitions=4) as clients, clients() as client:
        payloads = [str(n).encode() for n in range(1_000)]
        publisher = client.publisher(source="agents/feed-0")
        ranges = await publisher.publish_payloads(
            "bars", payloads, key="EURUSD", type="t.Bar", time_unix_nano=7
        )
        assert {r.partition for r in ranges} == {partition_for_key("EURUSD", 4)}
        async with client.subscribe("bars", start=EARLIEST) as subscription:
            iterator = aiter(subscription)
            received = [await anext(iterator) for _ in payloads]
        assert [message.data for message in received] == payloads
        assert {(m.source, m.type, m.key, m.time_unix_nano) for m in received} == {
            ("agents/feed-0", "t.Bar", "EURUSD", 7)
        }
        assert len({message.id for message in received}) == 1_000


async def test_payloads_without_a_key_spread_over_partitions(open_bus: OpenBus) -> None:
    async with open_bus(default_partitions=4) as clients, clients() as client:
        ranges = await client.publisher().publish_payloads("bars", [b"x"] * 3_000)
        assert sum(map(len, ranges)) == 3_000
        assert len({r.partition for r in ranges}) > 1


async def test_messages_without_a_key_spread_over_partitions_and_none_is_lost(
    open_bus: OpenBus,
) -> None:
    async with open_bus(default_partitions=4) as clients, clients() as client:
        ranges = await client.publisher().publish_many("bars", numbered(3_000))
        assert sum(map(len, ranges)) == 3_000
        assert len({r.partition for r in ranges}) > 1


async def test_enqueued_messages_are_all_acknowledged_after_flush(client: BusClient) -> None:
    publisher = client.publisher()
    futures = [await publisher.enqueue("signals", message) for message in numbered(250)]
    await publisher.flush()
    assert [future.result().offset for future in futures] == list(range(250))


async def test_batches_hand_over_all_messages_in_offset_order(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(950))
    async with client.subscribe("bars", start=EARLIEST) as subscription:
        received = 0
        async for batch in subscription.batches():
            assert batch.first_offset == received
            assert [int(m.data) for m in batch.messages] == [
                *range(received, received + len(batch))
            ]
            received += len(batch)
            if received == 950:
                break


async def test_max_batch_messages_bounds_each_delivery(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(100))
    async with client.subscribe("bars", start=EARLIEST, max_batch_messages=7) as subscription:
        iterator = aiter(subscription.batches())
        sizes = [len(await anext(iterator)) for _ in range(15)]
    assert sum(sizes) == 100
    assert max(sizes) <= 7


async def test_a_pattern_matches_topics_made_later(client: BusClient) -> None:
    async with client.subscribe("signals.>") as subscription:
        await client.publisher().publish("signals.tactical.eurusd", b"1")
        await client.publisher().publish("orders", b"no")
        await client.publisher().publish("signals.macro", b"2")
        iterator = aiter(subscription)
        found = [(r.topic, r.data) for r in (await anext(iterator), await anext(iterator))]
    assert found == [("signals.tactical.eurusd", b"1"), ("signals.macro", b"2")]


async def test_control_topics_travel_beside_data_topics(client: BusClient) -> None:
    async with client.subscribe("control.killswitch") as control:
        await client.publisher().publish("control.killswitch", b"engage")
        assert (await anext(aiter(control))).data == b"engage"


# ---------------------------------------------------------------- what is refused


async def test_a_bad_topic_name_is_refused_in_words(client: BusClient) -> None:
    with pytest.raises(InvalidTopicNameError, match=r"'no spaces'.*is not allowed"):
        await client.publisher().publish("no spaces", b"1")


async def test_an_unknown_topic_is_refused_when_auto_create_is_off(open_bus: OpenBus) -> None:
    async with open_bus(auto_create_topics=False) as clients, clients() as client:
        with pytest.raises(UnknownTopicError, match="'signals' does not exist"):
            await client.publisher().publish("signals", b"1")
        with pytest.raises(UnknownTopicError):
            async with client.subscribe("signals"):
                pass
        await client.admin.create_topic(Topic(name="signals"))
        assert (await client.publisher().publish("signals", b"1")).offset == 0


async def test_a_too_large_message_is_refused_and_its_neighbours_are_not(client: BusClient) -> None:
    publisher = client.publisher()
    first = await publisher.enqueue("bars", new_message(data=b"before"))
    large = await publisher.enqueue("bars", new_message(data=bytes(600 << 10)))
    last = await publisher.enqueue("bars", new_message(data=b"after"))
    with pytest.raises(PayloadTooLargeError, match="limit is"):
        await large
    assert sorted([(await first).offset, (await last).offset]) == [0, 1]


async def test_a_message_above_the_batch_limit_is_refused_before_it_is_sent(
    client: BusClient,
) -> None:
    with pytest.raises(PayloadTooLargeError, match="too large, limit is"):
        await client.publisher().publish("bars", bytes(2 * MEBIBYTE))


async def test_publish_many_raises_the_first_refusal_and_later_publishes_work(
    client: BusClient,
) -> None:
    publisher = client.publisher()
    bad = [*numbered(150), new_message(data=b"x", key="k" * 300), *numbered(150)]
    with pytest.raises(PayloadTooLargeError, match="key of 300 bytes"):
        await publisher.publish_many("bars", bad)
    result = await publisher.publish("bars", b"later")
    assert result.offset >= 100


async def test_a_subscription_with_other_topics_of_the_same_name_is_refused(
    client: BusClient,
) -> None:
    async with client.subscribe("bars", subscription="risk"):
        with pytest.raises(SubscriptionMismatchError):
            async with client.subscribe("orders", subscription="risk"):
                pass


async def test_a_window_below_the_largest_message_is_refused(client: BusClient) -> None:
    with pytest.raises(CallerError, match="window of 10 bytes"):
        async with client.subscribe("bars", window_bytes=10):
            pass


async def test_a_window_of_no_messages_is_refused(client: BusClient) -> None:
    with pytest.raises(CallerError, match="window of 0 messages"):
        async with client.subscribe("bars", window_messages=0):
            pass


# ---------------------------------------------------------------- subscriptions


async def test_ephemeral_subscribers_each_get_every_message_from_now_on(client: BusClient) -> None:
    await client.publisher().publish("bars", b"before")
    async with client.subscribe("bars") as one, client.subscribe("bars") as other:
        await client.publisher().publish("bars", b"after")
        for subscription in (one, other):
            assert (await anext(aiter(subscription))).data == b"after"


async def test_members_of_a_named_subscription_share_its_messages(open_bus: OpenBus) -> None:
    async with open_bus(default_partitions=4) as clients, clients() as client:
        seen: list[int] = []
        complete = asyncio.Event()

        async def member() -> None:
            async with client.subscribe("bars", subscription="risk", window_messages=50) as mine:
                async for batch in mine.batches():
                    seen.extend(int(message.data) for message in batch.messages)
                    if len(seen) >= 500:
                        complete.set()

        members = [asyncio.create_task(member()) for _ in range(2)]
        messages = [new_message(data=str(n).encode(), key=f"K{n % 13}") for n in range(500)]
        await client.publisher().publish_many("bars", messages)
        await complete.wait()
        for task in members:
            task.cancel()
        await asyncio.gather(*members, return_exceptions=True)
        assert sorted(seen) == list(range(500))


async def test_a_named_subscription_goes_on_where_its_members_left_it(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(10))
    async with client.subscribe("bars", subscription="risk", max_batch_messages=1) as first:
        iterator = aiter(first)
        assert [int((await anext(iterator)).data) for _ in range(5)] == [0, 1, 2, 3, 4]
    async with client.subscribe("bars", subscription="risk") as second:
        again = await anext(aiter(second))
        # Message 4 was in hand, not finished, when the first member left.
        assert (int(again.data), again.attempt) == (4, 1)


async def test_what_a_batch_iterator_has_in_hand_is_delivered_again(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(5))
    async with client.subscribe("bars", subscription="risk") as first:
        assert len(await anext(aiter(first.batches()))) == 5
    async with client.subscribe("bars", subscription="risk") as second:
        batch = await anext(aiter(second.batches()))
        assert (len(batch), batch.attempt) == (5, 1)
        await batch.accept()
    async with client.subscribe("bars", subscription="risk") as third:
        await client.publisher().publish("bars", b"next")
        assert (await anext(aiter(third))).data == b"next"


async def test_a_released_message_comes_again_and_holds_its_place(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(3))
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        iterator = aiter(subscription)
        first = await anext(iterator)
        second = await anext(iterator)
        await subscription.release(first)
        await subscription.accept(second)
        third = await anext(iterator)
        await subscription.accept(third)
        again = await anext(iterator)
        assert (int(again.data), again.offset, again.attempt) == (0, 0, 1)
        await subscription.accept(again)


async def test_a_delayed_release_is_not_delivered_early(client: BusClient) -> None:
    await client.publisher().publish("bars", b"1")
    loop = asyncio.get_running_loop()
    async with client.subscribe("bars", subscription="risk", settle="manual") as subscription:
        iterator = aiter(subscription)
        first = await anext(iterator)
        released_at = loop.time()
        await subscription.release(first, delay_seconds=0.2)
        again = await anext(iterator)
        assert again.attempt == 1
        assert loop.time() - released_at >= 0.2
        await subscription.accept(again)


async def test_a_released_message_in_auto_mode_is_not_accepted_behind_its_users_back(
    client: BusClient,
) -> None:
    await client.publisher().publish_many("bars", numbered(2))
    attempts: list[tuple[int, int]] = []
    async with client.subscribe("bars", subscription="risk") as subscription:
        async for received in subscription:
            attempts.append((int(received.data), received.attempt))
            if attempts[-1] == (0, 0):
                await subscription.release(received)
            if len(attempts) == 3:
                break
    assert attempts == [(0, 0), (1, 0), (0, 1)]


async def test_settling_twice_is_a_clear_error(client: BusClient) -> None:
    await client.publisher().publish("bars", b"1")
    async with client.subscribe("bars", start=EARLIEST, settle="manual") as subscription:
        received = await anext(aiter(subscription))
        await subscription.accept(received)
        with pytest.raises(UnknownDeliveryTagError, match="settled already"):
            await subscription.accept(received)


async def test_the_window_is_a_hard_limit(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(500))
    async with client.subscribe(
        "bars", subscription="risk", window_messages=10, settle="manual"
    ) as subscription:
        iterator = aiter(subscription)
        taken = [await anext(iterator) for _ in range(10)]
        stats = await client.admin.topic_stats("bars")
        assert [s.in_flight_messages for s in stats.subscriptions] == [10]
        waiting = asyncio.ensure_future(anext(iterator))
        await (
            client.admin.server_info()
        )  # A round trip: an eleventh message would have come by now.
        assert not waiting.done()
        await subscription.accept(taken[0])
        assert (await waiting).offset == 10


async def test_a_window_of_one_still_moves_every_message(client: BusClient) -> None:
    await client.publisher().publish_many("bars", numbered(50))
    async with client.subscribe("bars", subscription="risk", window_messages=1) as subscription:
        iterator = aiter(subscription)
        assert [int((await anext(iterator)).data) for _ in range(50)] == list(range(50))


@pytest.mark.memory_topics
async def test_a_subscriber_that_falls_behind_is_told_how_much_it_lost(open_bus: OpenBus) -> None:
    async with (
        open_bus(retention_messages=100) as clients,
        clients() as client,
        client.subscribe(
            "bars",
            window_messages=10,
            overflow_policy=OVERFLOW_POLICY_DROP_OLDEST,
            settle="manual",
        ) as subscription,
    ):
        await client.publisher().publish_many("bars", numbered(1_000))
        received, offset = 0, -1
        async for batch in subscription.batches():
            assert batch.first_offset == offset + 1 + batch.dropped_messages
            offset = batch.first_offset + len(batch) - 1
            received += len(batch)
            await batch.accept()
            if offset == 999:
                break
        assert subscription.dropped_messages > 0
        assert received + subscription.dropped_messages == 1_000


async def test_a_blocking_subscriber_makes_publishers_wait_and_loses_nothing(
    open_bus: OpenBus,
) -> None:
    async with (
        open_bus(retention_messages=100) as clients,
        clients() as client,
        client.subscribe(
            "bars",
            subscription="risk",
            window_messages=10,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
        ) as subscription,
    ):
        publishing = asyncio.create_task(client.publisher().publish_many("bars", numbered(1_000)))
        iterator = aiter(subscription)
        received = [int((await anext(iterator)).data) for _ in range(1_000)]
        await publishing
        assert received == list(range(1_000))
        assert subscription.dropped_messages == 0


@pytest.mark.memory_topics
async def test_a_publisher_that_waits_too_long_is_told_for_what(open_bus: OpenBus) -> None:
    async with (
        open_bus(retention_messages=100) as clients,
        clients() as client,
        client.subscribe(
            "bars",
            subscription="risk",
            window_messages=20,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
            settle="manual",
        ) as subscription,
    ):
        with pytest.raises(
            DeadlineExceededError, match=r"acknowledgement of \d+ messages on 'bars'"
        ):
            await client.publisher().publish_many("bars", numbered(600), timeout=0.2)
        # Whether they were appended is unknown; here they are, as soon as there is room.
        reading = asyncio.create_task(_accept_all(subscription))
        await client.publisher().flush()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        stats = await client.admin.topic_stats("bars")
        assert stats.published_messages == 600


async def _accept_all(subscription) -> None:
    async for batch in subscription.batches():
        await batch.accept()


@pytest.mark.memory_topics
async def test_one_full_topic_does_not_hold_up_another(open_bus: OpenBus) -> None:
    async with (
        open_bus(retention_messages=100) as clients,
        clients() as client,
        client.subscribe(
            "telemetry",
            subscription="slow",
            window_messages=20,
            overflow_policy=OVERFLOW_POLICY_BLOCK,
        ) as slow,
    ):
        publisher = client.publisher()
        flood = asyncio.create_task(publisher.publish_many("telemetry", numbered(600)))
        stats = await client.admin.topic_stats("telemetry")
        while stats.published_messages < 100:
            stats = await client.admin.topic_stats("telemetry")
        for n in range(5):
            assert (await publisher.publish("orders", b"urgent")).offset == n
        assert not flood.done()
        reading = asyncio.create_task(_drained(slow, 600))
        await flood
        await reading


async def _drained(subscription, count: int) -> None:
    async for batch in subscription.batches():
        count -= len(batch)
        if count <= 0:
            return


@pytest.mark.memory_topics
async def test_a_disconnected_slow_subscriber_gets_the_reason(open_bus: OpenBus) -> None:
    async with (
        open_bus(retention_messages=100) as clients,
        clients() as client,
        client.subscribe(
            "bars",
            window_messages=1,
            overflow_policy=OVERFLOW_POLICY_DISCONNECT,
            settle="manual",
        ) as subscription,
    ):
        await client.publisher().publish_many("bars", numbered(1_000))
        with pytest.raises(SlowSubscriberError, match="DISCONNECT"):
            await _accept_all(subscription)


async def test_a_cursor_can_begin_at_positions_and_at_a_time(client: BusClient) -> None:
    times = [1_000_000 * (n + 1) for n in range(5)]
    for n, time in enumerate(times):
        await client.publisher().publish("bars", str(n).encode(), time_unix_nano=time)
    position = Position(topic="bars", partition=0, offset=3)
    async with client.subscribe("bars", start=at_positions([position])) as subscription:
        assert (await anext(aiter(subscription))).data == b"3"
    async with client.subscribe("bars", start=at_time(times[2])) as subscription:
        assert (await anext(aiter(subscription))).data == b"2"


async def test_closing_a_subscription_ends_its_iteration(client: BusClient) -> None:
    async with client.subscribe("bars") as subscription:
        arrived = asyncio.Event()

        async def read() -> list[bytes]:
            found = []
            async for received in subscription:
                found.append(received.data)
                arrived.set()
            return found

        reading = asyncio.create_task(read())
        await client.publisher().publish("bars", b"1")
        await arrived.wait()
        await subscription.close()
        assert await reading == [b"1"]


async def test_a_closed_client_says_so(client: BusClient) -> None:
    publisher = client.publisher()
    await client.close()
    with pytest.raises(ClosedError):
        client.publisher("other")
    with pytest.raises(ClosedError):
        await publisher.publish("bars", b"1")
    with pytest.raises(ClosedError):
        client.subscribe("bars")


async def test_publishers_are_cached_by_source(client: BusClient) -> None:
    assert client.publisher("a") is client.publisher("a")
    assert client.publisher("a") is not client.publisher("b")


# ---------------------------------------------------------------- agents, calls, tools


def rules_agent(agent_id: str = "rules-0", **fields: Any) -> Agent:
    capability = Capability(
        name="explain_last_signal",
        kind=CAPABILITY_KIND_TOOL,
        description="Explain the last signal.",
        input_schema_json=b'{"type":"object","properties":{"symbol":{"type":"string"}}}',
    )
    return Agent(
        agent_id=agent_id,
        name="rules",
        version="1",
        capabilities=[capability],
        max_in_flight=8,
        **fields,
    )


async def answer(stream) -> None:
    async for event in stream:
        if isinstance(event, IncomingCall):
            arguments = json.loads(event.call.arguments)
            await event.reply(json.dumps({"why": arguments["symbol"]}).encode())


@asynccontextmanager
async def answering(client: BusClient, agent: Agent) -> AsyncIterator[None]:
    async with client.agent_stream(agent) as stream:
        task = asyncio.create_task(answer(stream))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_call_reaches_an_agent_and_its_answer_comes_back(client: BusClient) -> None:
    async with answering(client, rules_agent()):
        reply = await client.call("explain_last_signal", {"symbol": "EURUSD"})
    assert reply.json() == {"why": "EURUSD"}
    assert (reply.is_error, reply.agent_id) == (False, "rules-0")


async def test_tools_of_live_agents_are_listed_and_called(client: BusClient) -> None:
    assert await client.list_tools() == []
    async with answering(client, rules_agent()):
        (tool,) = await client.list_tools()
        assert (tool.name, tool.agents) == ("explain_last_signal", 1)
        reply = await client.call_tool("explain_last_signal", {"symbol": "EURUSD"})
        assert reply.json() == {"why": "EURUSD"}
        assert json.loads(reply.text) == {"why": "EURUSD"}
    assert await client.list_tools() == []


async def test_calls_of_what_nobody_has_are_refused(client: BusClient) -> None:
    with pytest.raises(NoCapableAgentError, match="'nothing'"):
        await client.call("nothing")
    with pytest.raises(UnknownToolError, match="'nothing'"):
        await client.call_tool("nothing")


async def test_a_call_can_be_pinned_to_one_agent(client: BusClient) -> None:
    async with (
        answering(client, rules_agent("rules-0")),
        answering(client, rules_agent("rules-1")),
    ):
        for _ in range(5):
            reply = await client.call(
                "explain_last_signal", {"symbol": "EURUSD"}, agent_id="rules-1"
            )
            assert reply.agent_id == "rules-1"


async def test_an_agent_that_fails_a_call_is_named_with_its_reason(client: BusClient) -> None:
    async with client.agent_stream(rules_agent()) as stream:

        async def fail() -> None:
            event = await anext(aiter(stream))
            assert isinstance(event, IncomingCall)
            await event.fail(AgentFailedError("no signal yet"))

        task = asyncio.create_task(fail())
        with pytest.raises(AgentFailedError, match="no signal yet"):
            await client.call("explain_last_signal")
        await task


async def test_a_call_that_takes_too_long_is_cancelled_at_the_agent(client: BusClient) -> None:
    async with client.agent_stream(rules_agent()) as stream:
        calling = asyncio.create_task(client.call("explain_last_signal", timeout=0.2))
        events = aiter(stream)
        call = await anext(events)
        with pytest.raises(DeadlineExceededError, match="explain_last_signal"):
            await calling
        cancelled = await anext(events)
        assert isinstance(call, IncomingCall)
        assert isinstance(cancelled, CallCancelled)
        assert cancelled.call is call
        assert await call.reply(b"{}") is False


async def test_an_agent_that_goes_away_in_a_call_is_told_to_the_caller(client: BusClient) -> None:
    async with client.agent_stream(rules_agent()) as stream:
        calling = asyncio.create_task(client.call("explain_last_signal"))
        await anext(aiter(stream))
        await stream.close()
        with pytest.raises(AgentLostError, match="rules-0"):
            await calling


async def test_an_agent_id_in_use_is_refused_until_it_is_free(open_bus: OpenBus) -> None:
    settings = ClientSettings(timeout_seconds=0.3)
    async with open_bus() as clients, clients(settings) as client:
        async with client.agent_stream(rules_agent()):
            second = client.agent_stream(rules_agent())
            with pytest.raises(AgentExistsError, match="rules-0"):
                await second.__aenter__()
        async with client.agent_stream(rules_agent()):
            assert [a.agent.agent_id for a in await client.admin.list_agents()] == ["rules-0"]


async def test_load_reports_show_in_the_directory(client: BusClient) -> None:
    async with client.agent_stream(rules_agent()) as stream:
        await stream.send_load(LoadReport(queue_depth=1))
        await stream.send_load(LoadReport(queue_depth=7))
        (status,) = await client.admin.list_agents()
        while not status.load.queue_depth:
            (status,) = await client.admin.list_agents()
        assert status.load.queue_depth == 7
        assert await client.admin.list_agents("other") == []


# ---------------------------------------------------------------- admin


async def test_topics_are_created_listed_and_counted(client: BusClient) -> None:
    admin = client.admin
    made = await admin.create_topic(Topic(name="bars.1h", partition_count=3))
    assert (made.name, made.partition_count) == ("bars.1h", 3)
    await admin.create_topic(Topic(name="bars.1h", partition_count=3))
    with pytest.raises(TopicExistsError):
        await admin.create_topic(Topic(name="bars.1h", partition_count=4))
    await admin.create_topic(Topic(name="orders"))
    assert [t.name for t in await admin.list_topics()] == ["bars.1h", "orders"]
    assert [t.name for t in await admin.list_topics("bars.*")] == ["bars.1h"]
    await client.publisher().publish_many("orders", numbered(150))
    stats = await admin.topic_stats("orders")
    assert (stats.published_messages, stats.published_batches) == (150, 2)


@pytest.mark.memory_topics
async def test_all_pages_of_topics_are_listed(client: BusClient) -> None:
    names = [f"t{n:04}" for n in range(1_100)]
    for name in names:
        await client.admin.create_topic(Topic(name=name))
    assert [topic.name for topic in await client.admin.list_topics()] == names


async def test_the_server_tells_what_it_is(client: BusClient) -> None:
    info = await client.admin.server_info()
    assert info.workers == 16
    assert info.pid > 0


def test_the_client_satisfies_the_protocol() -> None:
    made: type[BusClient] = Client
    assert made is Client
