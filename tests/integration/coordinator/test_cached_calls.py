"""Cacheable calls at a real server: one answer for equal calls, and none that is wrong, old or somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.coordinator.caching import (
    TOOL,
    CountingAgent,
    call_tool,
    counting_agent,
    invoke,
    number,
    say_the_number,
)
from tests.integration.coordinator.frames import Stubs, dial, eventually, refusal, within

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1.error_pb2 import ItemError
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.telemetry import configure_tracing, read_trace_dir
from bellwire.testing.server import running_coordinator
from bellwire.wire.errors import (
    AgentFailedError,
    CallerError,
    CapacityError,
    DeadlineExceededError,
    StatusCode,
)

pytestmark = pytest.mark.integration

MADE = invocation_pb2.CACHE_LEVEL_UNSPECIFIED
MEMORY = invocation_pb2.CACHE_LEVEL_MEMORY
SHARED = invocation_pb2.CACHE_LEVEL_SHARED
AT_ONCE = CacheSettings(settle_seconds=0.0)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def serving(cache: CacheSettings | None = None, **settings: Any) -> AsyncIterator[Stubs]:
    """A connection to a coordinator with a cache of its own."""
    async with running_coordinator(cache=cache, **settings) as running, dial(running.unix) as bus:
        yield bus


async def directory(bus: Stubs) -> list[agent_pb2.AgentStatus]:
    """The live agents."""
    return list((await within(bus.agents.ListAgents(agent_pb2.ListAgentsRequest()))).agents)


class Gate:
    """Holds an agent's answers back until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self._answers: list[asyncio.Task[None]] = []

    async def respond(self, agent: CountingAgent, call: agent_pb2.Call) -> None:
        async def later() -> None:
            await self.opened.wait()
            await say_the_number(agent, call)

        self._answers.append(asyncio.create_task(later()))


# ---------------------------------------------------------------- what is one question, and what is not


async def test_an_equal_call_gets_the_same_answer_and_says_so(bus: Stubs):
    async with counting_agent(bus) as agent:
        first = await invoke(bus, '{"symbol": "EURUSD", "n": 1.5}')
        again = await invoke(bus, '{"n":1.5,"symbol":"EURUSD"}')
        tool = await call_tool(bus, '{ "symbol": "EURUSD", "n": 1.5 }')
    assert (first.cache_level, again.cache_level) == (MADE, MEMORY)
    assert (again.result, again.agent_id, again.duration_micros) == (
        first.result,
        "values-0",
        first.duration_micros,
    )
    assert (tool.cached, tool.structured_content_json) == (True, first.result)
    assert len(agent.calls) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"n": 1}', '{"n": 2}'),
        ('{"n": 1}', '{"n": 1.0}'),
        ('{"n": 1.5}', '{"n": 1.50000000000000000001}'),
        ('{"n": "1"}', '{"n": 1}'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('{"n": [1, 2]}', '{"n": [2, 1]}'),
        ('{"n": null}', "{}"),
        ('{"N": 1}', '{"n": 1}'),
    ],
)
async def test_calls_that_differ_are_not_taken_for_equal(bus: Stubs, one: str, other: str):
    async with counting_agent(bus) as agent:
        assert number(await invoke(bus, one)) == 1
        assert number(await invoke(bus, other)) == 2
        assert len(agent.calls) == 2


async def test_arguments_that_are_no_json_are_compared_as_they_are(bus: Stubs):
    async with counting_agent(bus) as agent:
        for _ in range(2):
            await invoke(bus, "{not json")
            await invoke(bus, "{not json ")
            await invoke(bus, "{not json", content_type="text/plain")
        assert len(agent.calls) == 3


async def test_nothing_is_cached_that_is_not_declared_cacheable(bus: Stubs):
    async with counting_agent(bus, ttl_millis=0) as agent:
        answers = [await invoke(bus) for _ in range(3)]
        assert [number(answer) for answer in answers] == [1, 2, 3]
        assert {answer.cache_level for answer in answers} == {MADE}
        assert not (await call_tool(bus)).cached
    assert len(agent.calls) == 4


async def test_one_agent_that_does_not_declare_it_speaks_for_all(bus: Stubs):
    async with counting_agent(bus, "a") as one:
        await invoke(bus)
        async with counting_agent(bus, "b", ttl_millis=0) as other:
            for _ in range(4):
                assert (await invoke(bus)).cache_level == MADE
        assert len(one.calls) + len(other.calls) == 5
        await eventually(lambda: invoke(bus), lambda answer: answer.cache_level == MEMORY)


async def test_who_asks_for_one_agent_gets_that_agent(bus: Stubs):
    pinned = invocation_pb2.Routing(policy=invocation_pb2.ROUTING_POLICY_PINNED, agent_id="b")
    sticky = invocation_pb2.Routing(policy=invocation_pb2.ROUTING_POLICY_STICKY, routing_key="k")
    async with counting_agent(bus, "a"), counting_agent(bus, "b") as other:
        await invoke(bus)
        before = len(other.calls)
        assert [(await invoke(bus, routing=pinned)).agent_id for _ in range(3)] == ["b"] * 3
        assert len(other.calls) == before + 3
        levels = {(await invoke(bus, routing=sticky)).cache_level for _ in range(3)}
        assert levels == {MADE}


async def test_another_version_of_the_agent_never_gives_the_old_answers(bus: Stubs):
    made = []
    for agent_id, version in (("a", "1"), ("b", "2"), ("c", "1")):
        async with counting_agent(bus, agent_id, name="values", version=version) as agent:
            await invoke(bus)
            made.append(len(agent.calls))
        await eventually(lambda: directory(bus), lambda found: not found)
    assert made == [1, 1, 0]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"ttl_millis": 0, "outdated_by": ["bars"]}, "cacheable for 0 ms"),
        ({"ttl_millis": 86_400_001}, "cacheable for 86400001 ms"),
        ({"ttl_millis": 1, "outdated_by": ["a b"]}, "topic"),
        ({"ttl_millis": 1, "outdated_by": ["t"] * 17}, "outdated by 17 topics, limit is 16"),
    ],
)
async def test_a_policy_out_of_range_is_refused_at_registration(
    bus: Stubs, policy: dict[str, Any], said: str
):
    agent = CountingAgent(bus)
    capability = agent_pb2.Capability(
        name=TOOL,
        kind=agent_pb2.CAPABILITY_KIND_TOOL,
        cache=agent_pb2.CachePolicy(**policy),
    )
    entry = agent_pb2.Agent(agent_id="a", capabilities=[capability])
    await agent.send(register=agent_pb2.Register(agent=entry))
    error = await agent.ended_with()
    assert isinstance(error, CallerError)
    assert said in error.message


# ---------------------------------------------------------------- how long


async def test_an_answer_is_made_anew_when_its_time_is_over(bus: Stubs):
    async with counting_agent(bus, ttl_millis=100) as agent:
        assert number(await invoke(bus)) == 1
        assert number(await eventually(lambda: invoke(bus), lambda a: number(a) == 2)) == 2
        assert len(agent.calls) == 2


async def test_a_message_outdates_what_depends_on_its_topic():
    async with serving(AT_ONCE) as bus, counting_agent(bus, outdated_by=("bars.>",)) as agent:
        assert [number(await invoke(bus)) for _ in range(2)] == [1, 1]
        await bus.publish(b"x", topic="signals.tactical")
        assert number(await invoke(bus)) == 1
        await bus.publish(b"x", topic="bars.1h")
        assert [number(await invoke(bus)) for _ in range(2)] == [2, 2]
        await bus.publish(b"x", topic="bars.5m")
        assert number(await invoke(bus)) == 3
        assert len(agent.calls) == 3


async def test_a_message_of_a_durable_topic_outdates_once_it_can_be_read(tmp_path: Path):
    settings = {"data": str(tmp_path), "default_log": "sqlite"}
    async with (
        serving(AT_ONCE, **settings) as bus,
        counting_agent(bus, outdated_by=("orders",)),
    ):
        await invoke(bus)
        await bus.publish(b"x", topic="orders")
        assert number(await invoke(bus)) == 2


async def test_an_answer_begun_before_a_message_is_not_kept_after_it():
    gate = Gate()
    async with (
        serving(AT_ONCE) as bus,
        counting_agent(bus, outdated_by=("bars",), respond=gate.respond) as agent,
    ):
        early = asyncio.create_task(invoke(bus))
        await agent.has(lambda a: len(a.calls) == 1)
        await bus.publish(b"x", topic="bars")
        late = asyncio.create_task(invoke(bus))
        await agent.has(lambda a: len(a.calls) == 2)
        gate.opened.set()
        await early
        await late
        again = await invoke(bus)
        assert (again.cache_level, again.result) == (MEMORY, late.result().result)


async def test_nothing_is_kept_until_the_agent_has_had_time_to_take_the_message_in():
    async with (
        serving(CacheSettings(settle_seconds=60.0)) as bus,
        counting_agent(bus, outdated_by=("bars",)) as agent,
    ):
        await bus.publish(b"x", topic="bars")
        assert [number(await invoke(bus)) for _ in range(3)] == [1, 2, 3]
        assert len(agent.calls) == 3


async def test_what_is_too_large_is_not_kept():
    async def respond(agent: CountingAgent, call: agent_pb2.Call) -> None:
        await agent.answer(call, b'"' + b"x" * 2_000 + b'"')

    async with (
        serving(CacheSettings(value_bytes_max=1_000)) as bus,
        counting_agent(bus, respond=respond) as agent,
    ):
        for _ in range(2):
            assert (await invoke(bus)).cache_level == MADE
        assert len(agent.calls) == 2
        (memory,) = (await bus.info()).cache.levels
        assert (memory.refused, memory.entries) == (2, 0)


# ---------------------------------------------------------------- failures


async def fail(agent: CountingAgent, call: agent_pb2.Call) -> None:
    await agent.answer(call, b'{"error": "no market"}', is_error=True)


async def refuse(agent: CountingAgent, call: agent_pb2.Call) -> None:
    error = ItemError(code=StatusCode.UNKNOWN, reason="AGENT_FAILED", message="out of memory")
    await agent.send(result=agent_pb2.CallResult(call_id=call.call_id, error=error))


async def test_a_tool_that_fails_is_spared_for_a_moment():
    async with (
        serving(CacheSettings(negative_ttl_seconds=0.2)) as bus,
        counting_agent(bus, respond=fail) as agent,
    ):
        first, again = await invoke(bus), await invoke(bus)
        assert (again.is_error, again.cache_level, again.result) == (True, MEMORY, first.result)
        assert len(agent.calls) == 1
        await eventually(lambda: invoke(bus), lambda answer: answer.cache_level == MADE)


async def test_failures_are_not_kept_where_that_is_switched_off():
    async with (
        serving(CacheSettings(negative_ttl_seconds=0.0)) as bus,
        counting_agent(bus, respond=fail) as agent,
    ):
        assert [(await invoke(bus)).cache_level for _ in range(2)] == [MADE, MADE]
        assert len(agent.calls) == 2


async def test_a_call_that_ended_in_an_error_is_made_again(bus: Stubs):
    async with counting_agent(bus, respond=refuse) as agent:
        for _ in range(2):
            assert isinstance(await refusal(invoke(bus)), AgentFailedError)
        assert len(agent.calls) == 2


# ---------------------------------------------------------------- many at once


async def test_a_stampede_of_a_thousand_equal_calls_makes_one(bus: Stubs):
    gate = Gate()
    async with counting_agent(bus, respond=gate.respond) as agent:
        calls = [asyncio.create_task(invoke(bus)) for _ in range(1_000)]
        await eventually(bus.info, lambda info: info.cache.shared_calls == 999)
        gate.opened.set()
        answers = [await call for call in calls]
        assert len(agent.calls) == 1
    assert {answer.result for answer in answers} == {answers[0].result}
    assert sorted(answer.cache_level for answer in answers) == [MADE] + [SHARED] * 999


async def test_who_asked_first_may_go_and_the_others_get_their_answer(bus: Stubs):
    gate = Gate()
    async with counting_agent(bus, respond=gate.respond) as agent:
        first = asyncio.create_task(invoke(bus))
        await agent.has(lambda a: len(a.calls) == 1)
        second = asyncio.create_task(invoke(bus))
        await eventually(bus.info, lambda info: info.cache.shared_calls == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        hasty = await refusal(invoke(bus, seconds=0.05))
        assert isinstance(hasty, DeadlineExceededError)
        gate.opened.set()
        assert number(await second) == 1
        assert (len(agent.calls), agent.cancelled) == (1, [])


async def test_when_the_last_has_gone_the_agent_is_told_to_stop(bus: Stubs):
    gate = Gate()
    async with counting_agent(bus, respond=gate.respond) as agent:
        calls = [asyncio.create_task(invoke(bus)) for _ in range(3)]
        await eventually(bus.info, lambda info: info.cache.shared_calls == 2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await agent.has(lambda a: a.cancelled == [a.calls[0].call_id])
        gate.opened.set()
        assert number(await invoke(bus)) == 2


async def test_those_who_joined_a_call_that_failed_have_it_made_once_more(bus: Stubs):
    gate = Gate()
    async with counting_agent(bus, "a", respond=gate.respond) as first:
        calls = [asyncio.create_task(invoke(bus)) for _ in range(10)]
        await eventually(bus.info, lambda info: info.cache.shared_calls == 9)
        async with counting_agent(bus, "b") as second:
            first.cancel()
            outcomes = await within(asyncio.gather(*calls, return_exceptions=True))
            assert len(second.calls) == 1
    failures = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert ([answer.agent_id for answer in answers], len(failures)) == (["b"] * 9, 1)


async def test_a_tool_that_always_fails_is_called_twice_by_a_crowd_not_a_thousand_times(bus: Stubs):
    started = asyncio.Event()

    async def respond(agent: CountingAgent, call: agent_pb2.Call) -> None:
        await started.wait()
        await refuse(agent, call)

    async with counting_agent(bus, respond=respond) as agent:
        calls = [asyncio.create_task(refusal(invoke(bus))) for _ in range(100)]
        await eventually(bus.info, lambda info: info.cache.shared_calls == 99)
        started.set()
        errors = [await call for call in calls]
    assert {type(error) for error in errors} == {AgentFailedError}
    assert len(agent.calls) == 2


async def test_more_waiting_calls_than_there_may_be_are_refused():
    gate = Gate()
    async with (
        serving(calls_in_flight_max=3) as bus,
        counting_agent(bus, respond=gate.respond) as agent,
    ):
        calls = [asyncio.create_task(invoke(bus)) for _ in range(3)]
        await eventually(bus.info, lambda info: info.cache.shared_calls == 2)
        assert isinstance(await refusal(invoke(bus)), CapacityError)
        gate.opened.set()
        assert {number(await call) for call in calls} == {1}
        assert len(agent.calls) == 1


async def test_a_coordinator_that_stops_leaves_nobody_waiting():
    gate = Gate()
    async with (
        running_coordinator() as running,
        dial(running.unix) as bus,
        counting_agent(bus, respond=gate.respond) as agent,
    ):
        calls = [asyncio.create_task(refusal(invoke(bus))) for _ in range(3)]
        await agent.has(lambda a: len(a.calls) == 1)
        await running.coordinator.close()
        codes = [(await within(call)).code for call in calls]
    for code in codes:
        assert code in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)


# ---------------------------------------------------------------- what is told


async def test_the_counters_say_what_was_spared(bus: Stubs):
    async with counting_agent(bus):
        for n in (1, 1, 1, 2):
            await invoke(bus, f'{{"n": {n}}}')
    cache = (await bus.info()).cache
    (memory,) = cache.levels
    assert (memory.name, memory.state, memory.hits, memory.misses) == ("memory", "closed", 2, 2)
    assert (memory.entries, cache.made_calls, cache.shared_calls) == (2, 2, 0)
    assert memory.bytes > 2_000


async def test_a_stored_answer_under_a_request_id_is_a_replay(bus: Stubs):
    async with counting_agent(bus) as agent:
        await invoke(bus, request_id="once")
        again = await invoke(bus, request_id="once")
        other = await invoke(bus, request_id="twice")
        assert (again.replayed, again.cache_level) == (True, MADE)
        assert (other.replayed, other.cache_level) == (False, MEMORY)
        assert len(agent.calls) == 1


async def test_a_hit_of_a_sampled_call_has_a_span_that_names_its_level(tmp_path: Path):
    tracing = configure_tracing("coordinator", sample_ratio=0.0, otlp_json_path=tmp_path)
    try:
        async with serving() as bus, counting_agent(bus):
            await invoke(bus, traceparent=TRACEPARENT)
            await invoke(bus, traceparent=TRACEPARENT)
    finally:
        tracing.shutdown()
    spans = [span for span in read_trace_dir(tmp_path) if span.name == f"cached {TOOL}"]
    assert [span.attributes["messaging.bellwire.cache.level"] for span in spans] == ["memory"]
