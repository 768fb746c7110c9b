"""request_id: a mutating call is carried out once, however often it is sent, and over a restart too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.frames import (
    TOPIC,
    AgentStream,
    Stubs,
    SubscribeStream,
    batch,
    eventually,
    payloads,
    refusal,
    within,
)
from tests.integration.coordinator.guarantees import Gate, letters, publish_each, reject, served

from bellwire.admin.v1 import dead_letter_pb2, topic_pb2
from bellwire.agent.v1.invocation_pb2 import InvokeRequest
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.message_pb2 import Message, Window
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_RECEIVED, PublishRequest
from bellwire.mcp.v1.mcp_pb2 import CallToolRequest, RequestMeta
from bellwire.wire.errors import (
    CallerError,
    IdempotencyKeyReusedError,
    NoCapableAgentError,
    TopicExistsError,
    TopicFullError,
    UnknownSubscriptionError,
    UnknownToolError,
    UnknownTopicError,
)

pytestmark = pytest.mark.integration

ID = "req-1"
EARLIEST = subscriber_pb2.StartPosition(policy=subscriber_pb2.START_POLICY_EARLIEST)
LATEST = subscriber_pb2.StartPosition(policy=subscriber_pb2.START_POLICY_LATEST)
TOOL = "explain"


async def nothing(bus: Stubs, *_: Any) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Case:
    """A mutating RPC and how to see whether it was carried out.

    Attributes:
        rpc: Of a connection.
        request: Without its request_id.
        other: Another request for the same RPC.
        probe: Something that each carrying out changes, once `disturb` has run after the first one.
        prepare: What must be there.
        disturb: Makes a second carrying out visible.
    """

    name: str
    rpc: Callable[[Stubs], Callable[[Any], Awaitable[Any]]]
    request: Any
    other: Any
    probe: Callable[[Stubs], Awaitable[Any]]
    prepare: Callable[[Stubs, AsyncExitStack], Awaitable[None]] = nothing
    disturb: Callable[[Stubs], Awaitable[Any]] = nothing

    def send(self, bus: Stubs, request: Any = None, request_id: str = ID) -> Any:
        """The call under way."""
        sent = type(self.request)()
        sent.CopyFrom(self.request if request is None else request)
        sent.request_id = request_id
        return self.rpc(bus)(sent)


@dataclass
class Calls:
    """What an agent was asked."""

    arguments: list[bytes] = field(default_factory=list)


CALLS = Calls()


@asynccontextmanager
async def answering(bus: Stubs) -> AsyncIterator[None]:
    """An agent that counts its calls and answers with how many there were."""
    agent = await AgentStream(bus).open("rules-0", TOOL)

    async def answer() -> None:
        while True:
            call = await agent.call.read()
            if call is grpc.aio.EOF:
                return
            if call.WhichOneof("frame") == "call":
                CALLS.arguments.append(call.call.arguments)
                await agent.answer(call.call, b'{"calls":%d}' % len(CALLS.arguments))

    task = asyncio.create_task(answer())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        agent.cancel()


async def agent_ready(bus: Stubs, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(answering(bus))


async def calls(_: Stubs) -> int:
    return len(CALLS.arguments)


async def topic_ready(bus: Stubs, *_: Any) -> None:
    await bus.create_topic()


async def change_topic(bus: Stubs) -> None:
    topic = topic_pb2.Topic(name=TOPIC, retention_messages=88)
    await within(bus.topics.UpdateTopic(topic_pb2.UpdateTopicRequest(topic=topic)))


async def delete_topic(bus: Stubs) -> None:
    await within(bus.topics.DeleteTopic(topic_pb2.DeleteTopicRequest(name=TOPIC)))


async def topics(bus: Stubs) -> list[Any]:
    answer = await within(bus.topics.ListTopics(topic_pb2.ListTopicsRequest()))
    return [(topic.name, topic.retention_messages) for topic in answer.topics]


async def next_offset(bus: Stubs) -> int:
    return (await bus.stats()).partitions[0].next_offset


async def read_two(bus: Stubs, *_: Any) -> None:
    stream = await SubscribeStream(bus).open("risk")
    assert await stream.data(2) == [b"0", b"1"]
    await stream.finish()


async def two_read(bus: Stubs, *_: Any) -> None:
    await bus.publish(b"0", b"1")
    await read_two(bus)


async def subscriptions(bus: Stubs) -> list[tuple[str, int]]:
    return [(s.subscription, s.backlog_messages) for s in (await bus.stats()).subscriptions]


async def one_rejected(bus: Stubs, *_: Any) -> None:
    await bus.create_topic()
    await reject(bus, b"first")


async def reject_another(bus: Stubs) -> None:
    """Reject what was redriven, if anything was, and one more."""
    await publish_each(bus, b"second")
    stream = await SubscribeStream(bus).open("risk")
    delivery = await stream.delivery()
    while b"second" not in payloads([delivery]):
        await stream.settle(delivery)
        delivery = await stream.delivery()
    await stream.settle(delivery, subscriber_pb2.DISPOSITION_REJECT)
    await stream.finish()


async def letter_count(bus: Stubs) -> int:
    return len(await letters(bus))


CASES = [
    Case(
        "Publish-messages",
        lambda bus: bus.publisher.Publish,
        PublishRequest(topic=TOPIC, messages=[Message(data=b"x", key="A")]),
        PublishRequest(topic=TOPIC, messages=[Message(data=b"y", key="A")]),
        next_offset,
    ),
    Case(
        "Publish-batch",
        lambda bus: bus.publisher.Publish,
        PublishRequest(batch=batch(b"x", b"y")),
        PublishRequest(batch=batch(b"x")),
        next_offset,
    ),
    Case(
        "CreateTopic",
        lambda bus: bus.topics.CreateTopic,
        topic_pb2.CreateTopicRequest(topic=topic_pb2.Topic(name=TOPIC)),
        topic_pb2.CreateTopicRequest(topic=topic_pb2.Topic(name="other")),
        topics,
        disturb=delete_topic,
    ),
    Case(
        "UpdateTopic",
        lambda bus: bus.topics.UpdateTopic,
        topic_pb2.UpdateTopicRequest(topic=topic_pb2.Topic(name=TOPIC, retention_messages=77)),
        topic_pb2.UpdateTopicRequest(topic=topic_pb2.Topic(name=TOPIC, retention_messages=78)),
        topics,
        prepare=topic_ready,
        disturb=change_topic,
    ),
    Case(
        "DeleteTopic",
        lambda bus: bus.topics.DeleteTopic,
        topic_pb2.DeleteTopicRequest(name=TOPIC),
        topic_pb2.DeleteTopicRequest(name="other"),
        topics,
        prepare=topic_ready,
        disturb=topic_ready,
    ),
    Case(
        "Seek",
        lambda bus: bus.subscriber.Seek,
        subscriber_pb2.SeekRequest(subscription="risk", position=EARLIEST),
        subscriber_pb2.SeekRequest(subscription="risk", position=LATEST),
        subscriptions,
        prepare=two_read,
        disturb=read_two,
    ),
    Case(
        "RedriveDeadLetters",
        lambda bus: bus.dead_letters.RedriveDeadLetters,
        dead_letter_pb2.RedriveDeadLettersRequest(topic=TOPIC),
        dead_letter_pb2.RedriveDeadLettersRequest(topic=TOPIC, max_messages=7),
        letter_count,
        prepare=one_rejected,
        disturb=reject_another,
    ),
    Case(
        "PurgeDeadLetters",
        lambda bus: bus.dead_letters.PurgeDeadLetters,
        dead_letter_pb2.PurgeDeadLettersRequest(topic=TOPIC),
        dead_letter_pb2.PurgeDeadLettersRequest(topic=TOPIC, dry_run=True),
        letter_count,
        prepare=one_rejected,
        disturb=reject_another,
    ),
    Case(
        "DeleteSubscription",
        lambda bus: bus.subscriber.DeleteSubscription,
        subscriber_pb2.DeleteSubscriptionRequest(subscription="risk"),
        subscriber_pb2.DeleteSubscriptionRequest(subscription="other"),
        subscriptions,
        prepare=two_read,
        disturb=read_two,
    ),
    Case(
        "Invoke",
        lambda bus: bus.invocation.Invoke,
        InvokeRequest(capability=TOOL, arguments=b'{"n":1}'),
        InvokeRequest(capability=TOOL, arguments=b'{"n":2}'),
        calls,
        prepare=agent_ready,
    ),
    Case(
        "CallTool",
        lambda bus: bus.mcp.CallTool,
        CallToolRequest(name=TOOL, arguments_json=b'{"n":1}'),
        CallToolRequest(name=TOOL, arguments_json=b'{"n":2}'),
        calls,
        prepare=agent_ready,
    ),
]


def by_name(case: Case) -> str:
    return case.name


every_case = pytest.mark.parametrize("case", CASES, ids=by_name)


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    CALLS.arguments.clear()


@pytest.fixture(params=["", "durable"], ids=["memory", "durable"])
async def either(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[Stubs]:
    """A coordinator that keeps everything in memory, or on the disk."""
    settings = {"data": tmp_path, "default_log": "sqlite"} if request.param else {}
    async with served(**settings) as bus:
        yield bus


def is_replayed(answer: Any) -> bool | None:
    """Whether the answer says that it was stored; None where it cannot say so."""
    return answer.replayed if "replayed" in answer.DESCRIPTOR.fields_by_name else None


def bare(answer: Any) -> Any:
    """The answer without the mark that it was stored."""
    copied = type(answer)()
    copied.CopyFrom(answer)
    if is_replayed(answer):
        copied.replayed = False
    return copied


@every_case
async def test_the_same_request_again_gets_the_stored_response_and_does_nothing_more(
    either: Stubs, case: Case
):
    async with AsyncExitStack() as stack:
        await case.prepare(either, stack)
        first = await within(case.send(either))
        assert not is_replayed(first)
        await case.disturb(either)
        before = await case.probe(either)
        again = await within(case.send(either))
        assert bare(again) == first
        assert is_replayed(again) in (True, None)
        assert await case.probe(either) == before
        # Under another id it is another request: the probe does see what is carried out.
        fresh = await within(case.send(either, request_id="req-2"))
        assert not is_replayed(fresh)
        assert await case.probe(either) != before


@every_case
async def test_another_request_under_the_same_id_is_refused_and_does_nothing(
    either: Stubs, case: Case
):
    async with AsyncExitStack() as stack:
        await case.prepare(either, stack)
        first = await within(case.send(either))
        before = await case.probe(either)
        error = await refusal(case.send(either, case.other))
        assert isinstance(error, IdempotencyKeyReusedError)
        assert repr(ID) in error.message
        assert error.metadata["request_id"] == ID
        assert await case.probe(either) == before
        assert bare(await within(case.send(either))) == first


@every_case
async def test_the_same_request_several_times_at_once_is_carried_out_once(
    either: Stubs, case: Case
):
    async with AsyncExitStack() as stack:
        await case.prepare(either, stack)
        answers = await within(asyncio.gather(*[case.send(either) for _ in range(5)]))
        assert all(bare(answer) == bare(answers[0]) for answer in answers)
        marks = [is_replayed(answer) for answer in answers]
        assert sorted(marks, key=bool) == ([False] + [True] * 4 if None not in marks else marks)
        after_five = await case.probe(either)
        await case.disturb(either)
        assert bare(await within(case.send(either))) == bare(answers[0])
        if case.name.startswith(("Publish", "Invoke", "CallTool")):
            made = case.request.batch.header.message_count if case.name == "Publish-batch" else 1
            assert after_five == made


@every_case
async def test_a_stored_response_outlives_a_restart(tmp_path, case: Case):
    async with AsyncExitStack() as stack, served(tmp_path, default_log="sqlite") as bus:
        await case.prepare(bus, stack)
        first = await within(case.send(bus))
        await case.disturb(bus)
    async with served(tmp_path, default_log="sqlite") as bus:
        before = await case.probe(bus)
        again = await within(case.send(bus))
        assert bare(again) == first
        assert is_replayed(again) in (True, None)
        assert await case.probe(bus) == before
        error = await refusal(case.send(bus, case.other))
        assert isinstance(error, IdempotencyKeyReusedError)


async def test_one_id_serves_different_rpcs_side_by_side(bus: Stubs):
    create = topic_pb2.CreateTopicRequest(topic=topic_pb2.Topic(name=TOPIC), request_id=ID)
    await within(bus.topics.CreateTopic(create))
    publish = PublishRequest(topic=TOPIC, messages=[Message(data=b"x")], request_id=ID)
    assert not (await within(bus.publisher.Publish(publish))).replayed
    delete = topic_pb2.DeleteTopicRequest(name=TOPIC, request_id=ID)
    await within(bus.topics.DeleteTopic(delete))
    assert await topics(bus) == []


async def test_a_retry_is_the_same_request_though_it_is_traced_anew(bus: Stubs):
    async with answering(bus):
        for trace in (f"00-{n:032x}-{n:016x}-01" for n in (1, 2)):
            invoke = InvokeRequest(capability=TOOL, request_id=ID, traceparent=trace)
            tool = CallToolRequest(name=TOOL, request_id=ID, meta=RequestMeta(traceparent=trace))
            invoked = await within(bus.invocation.Invoke(invoke))
            called = await within(bus.mcp.CallTool(tool))
        assert invoked.replayed
        assert called.replayed
        assert len(CALLS.arguments) == 2


async def test_the_agent_hears_the_request_id_so_that_it_can_be_idempotent_too(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    calling = asyncio.ensure_future(
        bus.invocation.Invoke(InvokeRequest(capability=TOOL, request_id=ID))
    )
    call = await agent.next_call()
    assert call.request_id == ID
    await agent.answer(call)
    await within(calling)


async def test_a_request_id_that_is_too_long_is_refused(bus: Stubs):
    request = PublishRequest(topic=TOPIC, messages=[Message(data=b"x")], request_id="é" * 65)
    error = await refusal(bus.publisher.Publish(request))
    assert isinstance(error, CallerError)
    assert "130 bytes, limit is 128" in error.message


async def test_without_a_request_id_every_call_is_carried_out(either: Stubs):
    request = PublishRequest(batch=batch(b"x"))
    for offset in range(3):
        answer = await within(either.publisher.Publish(request))
        assert not answer.replayed
        assert answer.positions[0].first_offset == offset


async def test_an_id_is_forgotten_when_its_time_is_over():
    async with served(result_ttl_seconds=0.2) as bus:
        request = PublishRequest(batch=batch(b"x"), request_id=ID)
        await within(bus.publisher.Publish(request))
        answer = await eventually(
            lambda: within(bus.publisher.Publish(request)), lambda answer: not answer.replayed
        )
        assert answer.positions[0].first_offset == 1


async def test_beyond_their_bound_the_oldest_ids_are_forgotten():
    async with served(results_max=2) as bus:
        requests = [PublishRequest(batch=batch(b"x"), request_id=name) for name in "abc"]
        for request in requests:
            await within(bus.publisher.Publish(request))
        newest = await within(bus.publisher.Publish(requests[2]))
        oldest = await within(bus.publisher.Publish(requests[0]))
        assert (newest.replayed, oldest.replayed) == (True, False)


# ---------------------------------------------------------------- what failed may be repeated


async def test_a_publish_that_found_no_room_in_time_may_be_repeated():
    async with served(publish_wait_seconds=0.2) as bus:
        await bus.create_topic(retention_messages=1)
        slow = await SubscribeStream(bus).open("slow", window=Window(messages=1, bytes=1 << 20))
        held = await slow.delivery() if await bus.publish(b"0") else None
        await publish_each(bus, b"1", b"2")
        request = PublishRequest(batch=batch(b"3"), request_id=ID)
        for _ in range(2):
            assert isinstance(await refusal(bus.publisher.Publish(request)), TopicFullError)
        await slow.settle(held)
        assert await slow.data(2) == [b"1", b"2"]
        answer = await within(bus.publisher.Publish(request))
        assert not answer.replayed
        assert await slow.data(1) == [b"3"]


async def test_creating_updating_and_deleting_a_topic_may_be_repeated_after_a_failure(bus: Stubs):
    update = topic_pb2.UpdateTopicRequest(
        topic=topic_pb2.Topic(name=TOPIC, retention_messages=9), request_id=ID
    )
    delete = topic_pb2.DeleteTopicRequest(name=TOPIC, request_id=ID)
    for call in (bus.topics.UpdateTopic(update), bus.topics.DeleteTopic(delete)):
        assert isinstance(await refusal(call), UnknownTopicError)
    await bus.create_topic()
    create = topic_pb2.CreateTopicRequest(
        topic=topic_pb2.Topic(name=TOPIC, partition_count=5), request_id=ID
    )
    assert isinstance(await refusal(bus.topics.CreateTopic(create)), TopicExistsError)
    assert (await within(bus.topics.UpdateTopic(update))).topic.retention_messages == 9
    await within(bus.topics.DeleteTopic(delete))
    assert (await within(bus.topics.CreateTopic(create))).topic.partition_count == 5


async def test_a_seek_and_a_deletion_that_failed_may_be_repeated(bus: Stubs):
    seek = subscriber_pb2.SeekRequest(subscription="risk", position=EARLIEST, request_id=ID)
    delete = subscriber_pb2.DeleteSubscriptionRequest(subscription="risk", request_id=ID)
    for call in (bus.subscriber.Seek(seek), bus.subscriber.DeleteSubscription(delete)):
        assert isinstance(await refusal(call), UnknownSubscriptionError)
    stream = await SubscribeStream(bus).open("risk")
    assert len((await within(bus.subscriber.Seek(seek))).positions) == 1
    error = await refusal(bus.subscriber.DeleteSubscription(delete))
    assert "1 members" in error.message
    await stream.finish()
    await eventually(bus.stats, lambda stats: not stats.subscriptions[0].members)
    await within(bus.subscriber.DeleteSubscription(delete))
    assert await subscriptions(bus) == []


async def test_a_redrive_that_failed_may_be_repeated():
    async with served(auto_create_topics=False) as bus:
        await one_rejected(bus)
        await delete_topic(bus)
        request = dead_letter_pb2.RedriveDeadLettersRequest(topic=TOPIC, request_id=ID)
        error = await refusal(bus.dead_letters.RedriveDeadLetters(request))
        assert isinstance(error, UnknownTopicError)
        await bus.create_topic()
        assert (await within(bus.dead_letters.RedriveDeadLetters(request))).messages == 1
        assert (await within(bus.dead_letters.RedriveDeadLetters(request))).messages == 1
        assert (await bus.stats()).published_messages == 1


async def test_a_call_that_nobody_could_take_may_be_repeated_and_then_is_done_once(bus: Stubs):
    invoke = InvokeRequest(capability=TOOL, request_id=ID)
    tool = CallToolRequest(name=TOOL, request_id=ID)
    assert isinstance(await refusal(bus.invocation.Invoke(invoke)), NoCapableAgentError)
    assert isinstance(await refusal(bus.mcp.CallTool(tool)), UnknownToolError)
    async with answering(bus):
        for replayed in (False, True):
            assert (await within(bus.invocation.Invoke(invoke))).replayed is replayed
            assert (await within(bus.mcp.CallTool(tool))).replayed is replayed
        assert len(CALLS.arguments) == 2


async def test_an_answer_that_the_tool_itself_failed_is_an_answer_and_stored(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    request = InvokeRequest(capability=TOOL, request_id=ID)
    calling = asyncio.ensure_future(bus.invocation.Invoke(request))
    await agent.answer(await agent.next_call(), b'{"why":"no data"}', is_error=True)
    first = await within(calling)
    assert first.is_error
    again = await within(bus.invocation.Invoke(request))
    assert (bare(again), again.replayed) == (first, True)


# ---------------------------------------------------------------- callers that go away


async def test_who_repeats_a_publish_while_it_is_being_committed_waits_for_its_fate(
    tmp_path, monkeypatch
):
    gate = Gate(monkeypatch)
    async with served(tmp_path, default_log="sqlite") as bus:
        await bus.create_topic()
        gate.shut()
        request = PublishRequest(batch=batch(b"x"), request_id=ID)
        calls = [asyncio.ensure_future(bus.publisher.Publish(request)) for _ in range(2)]
        await eventually(bus.stats, lambda stats: stats.partitions[0].next_offset)
        await bus.stats()
        assert not any(call.done() for call in calls)
        gate.open()
        answers = await within(asyncio.gather(*calls))
        assert sorted(answer.replayed for answer in answers) == [False, True]
        assert await next_offset(bus) == 1


@pytest.mark.parametrize("level", [0, ACK_LEVEL_RECEIVED], ids=["persisted", "received"])
async def test_who_gave_up_while_its_publish_was_being_committed_can_repeat_it(
    tmp_path, monkeypatch, level
):
    gate = Gate(monkeypatch)
    async with served(tmp_path, default_log="sqlite") as bus:
        await bus.create_topic()
        gate.shut()
        request = PublishRequest(batch=batch(b"x"), request_id=ID, ack_level=level)
        given_up = bus.publisher.Publish(request)
        await eventually(bus.stats, lambda stats: stats.partitions[0].next_offset)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await bus.stats()
        again = asyncio.ensure_future(bus.publisher.Publish(request))
        await bus.stats()
        gate.open()
        answer = await within(again)
        assert answer.replayed
        assert answer.positions[0].first_offset == 0
        assert await next_offset(bus) == 1
    async with served(tmp_path) as bus:
        assert (await within(bus.publisher.Publish(request))).replayed


async def test_a_call_whose_caller_went_away_before_the_answer_may_be_made_again(bus: Stubs):
    agent = await AgentStream(bus).open("rules-0", TOOL)
    request = InvokeRequest(capability=TOOL, request_id=ID)
    given_up = bus.invocation.Invoke(request)
    first = await agent.next_call()
    given_up.cancel()
    assert (await agent.read_arm("cancel")).call_id == first.call_id
    again = asyncio.ensure_future(bus.invocation.Invoke(request))
    await agent.answer(await agent.next_call(), b'"answered"')
    answer = await within(again)
    assert (answer.result, answer.replayed) == (b'"answered"', False)
