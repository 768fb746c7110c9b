"""Cacheable calls whose agents are at another coordinator, and the span of a call that is passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from tests.integration.coordinator.caching import LONG, TOOL, CountingAgent, counting_agent
from tests.integration.coordinator.frames import eventually, refusal, within
from tests.integration.federation.conftest import Site, Sites

from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.coordinator.services.forwarded import forwarding_metadata, is_nothing_done
from bellwire.telemetry import names, provider
from bellwire.telemetry.recorder import Recorder
from bellwire.wire.errors import AgentBusyError, BellwireError

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(90)]

MADE = invocation_pb2.CACHE_LEVEL_UNSPECIFIED
MEMORY = invocation_pb2.CACHE_LEVEL_MEMORY
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[list[ReadableSpan]]:
    """Spans of this process, in which all coordinators run."""
    ended: list[ReadableSpan] = []
    provider.install(Recorder(Resource({}), ended.append), 0.0)
    yield ended
    provider.install(None, 0.0)


async def level(site: Site, arguments: bytes = b"{}") -> int:
    """Call the tool; return where the answer came from."""
    return int((await within(site.invoke(TOOL, arguments=arguments))).cache_level)


async def test_what_an_agent_elsewhere_declares_cacheable_is_kept_where_it_is_called(sites: Sites):
    here, there = await sites.open(), await sites.open()
    async with counting_agent(there.bus) as agent:
        await here.knows("values-0")
        assert [await level(here), await level(here)] == [MADE, MEMORY]
        # It is not kept twice: else it would get twice as old as was promised.
        assert [await level(there), await level(there)] == [MADE, MEMORY]
        assert len(agent.calls) == 2


async def test_one_agent_elsewhere_that_declares_nothing_makes_all_uncacheable(sites: Sites):
    here, there = await sites.open(), await sites.open()
    async with counting_agent(here.bus, "mine") as mine:
        assert [await level(here), await level(here)] == [MADE, MEMORY]
        async with counting_agent(there.bus, "theirs", ttl_millis=0):
            await here.knows("mine", "theirs")
            assert [await level(here), await level(here)] == [MADE, MADE]
        assert len(mine.calls) == 3


async def test_what_messages_outdate_is_kept_where_the_messages_are(sites: Sites):
    here, there = await sites.open(), await sites.open()
    topic = there.group.topic
    await there.bus.create_topic(topic)
    async with counting_agent(there.bus, outdated_by=(topic,)) as agent:
        await here.knows("values-0")
        # Kept by its own coordinator, which hears of the messages; asked here, it says so.
        await eventually(lambda: level(here), lambda found: found == MEMORY)
        made = len(agent.calls)
        assert [await level(here), await level(there)] == [MEMORY, MEMORY]
        assert len(agent.calls) == made
        await there.bus.publish(b"news", topic=topic)
        await eventually(lambda: level(here), lambda found: found == MADE)


@pytest.mark.parametrize("ttl_millis", [0, LONG], ids=["not kept", "kept"])
async def test_full_agents_say_that_nothing_was_done_whether_or_not_their_answers_are_kept(
    sites: Sites, ttl_millis: int
):
    """So whoever has passed the call on asks another coordinator."""
    there = await sites.open()
    meant_for = forwarding_metadata(there.id, "", fresh=False)

    async def ask() -> tuple[type[BellwireError], bool]:
        request = invocation_pb2.InvokeRequest(capability=TOOL)
        calling = there.bus.invocation.Invoke(request, metadata=meant_for, timeout=5)
        error = await refusal(calling)
        return type(error), is_nothing_done(await calling.trailing_metadata())

    async def never(agent: CountingAgent, call: agent_pb2.Call) -> None:
        """Answer nothing."""

    async with counting_agent(
        there.bus, ttl_millis=ttl_millis, respond=never, max_in_flight=1
    ) as full:
        held = there.invoke(TOOL, arguments=b"another one")
        await full.has(lambda agent: len(agent.calls) == 1)
        # Equal calls share an answer where it is kept, and so they do its error.
        assert await asyncio.gather(*(ask() for _ in range(5))) == [(AgentBusyError, True)] * 5
        held.cancel()


async def test_a_call_that_is_passed_on_has_a_span_and_what_follows_is_under_it(
    sites: Sites, spans: list[ReadableSpan]
):
    here, there = await sites.open(), await sites.open()
    agent = await there.register("rules-0")
    await here.knows("rules-0")
    calling = here.invoke(traceparent=SAMPLED)
    call = await agent.next_call()
    await agent.answer(call)
    await within(calling)
    failing = here.invoke(traceparent=SAMPLED, timeout=0.3)
    await agent.next_call()
    await refusal(failing)
    unsampled = here.invoke(traceparent=SAMPLED[:-1] + "0")
    await agent.read_arm("cancel")
    await agent.answer(await agent.next_call())
    await within(unsampled)
    found = await eventually(_hops(spans), lambda found: len(found) == 2)
    good, failed = found
    host, _, port = there.address.partition(":")
    assert good.kind is SpanKind.CLIENT
    assert dict(good.attributes or {}) == {
        names.RPC_SYSTEM: "grpc",
        names.RPC_SERVICE: "bellwire.agent.v1.InvocationService",
        names.RPC_METHOD: "Invoke",
        names.SERVER_ADDRESS: host,
        names.SERVER_PORT: int(port),
        names.GEN_AI_TOOL_NAME: "explain_last_signal",
        names.RPC_GRPC_STATUS_CODE: 0,
    }
    assert good.parent is not None
    assert good.parent.span_id == 0xB7AD6B7169203331
    assert call.traceparent.split("-")[2] == f"{good.context.span_id:016x}"
    assert failed.status.status_code is StatusCode.ERROR


def _hops(spans: list[ReadableSpan]) -> Callable[[], Awaitable[list[ReadableSpan]]]:
    async def found() -> list[ReadableSpan]:
        return [span for span in spans if span.name.endswith("InvocationService/Invoke")]

    return found
