"""One agent in this process: on a real coordinator, and on the bus in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client import (
    AgentBusyError,
    Client,
    DeadlineExceededError,
    NoCapableAgentError,
    connect,
)
from bellwire.runtime import (
    Agent,
    AgentRunner,
    MessageContext,
    Outputs,
    Publication,
    RunSettings,
    subscribe,
    tool,
)
from bellwire.telemetry import configure_tracing, read_trace_dir
from bellwire.testing import InMemoryBus, running_coordinator
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark

pytestmark = pytest.mark.integration

IN, OUT = "bars.1h", "echoes"
RUN = RunSettings(
    retry_delay_first_seconds=0.001, retry_delay_max_seconds=0.002, load_every_seconds=0.02
)

Handler = Callable[[Bar, MessageContext], Awaitable[Outputs]]


class Echo(Agent):
    """Answers each bar as its test says."""

    name = "echo"
    publishes = (OUT,)
    stage = "echoed"

    def __init__(self, answer: Handler | None = None, agent_id: str = "") -> None:
        super().__init__(agent_id=agent_id)
        self.seen: list[int] = []
        self.answer = answer
        self.entered = asyncio.Event()
        self.proceed = asyncio.Event()
        self.cancelled = asyncio.Event()

    @subscribe(IN, Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Echo, or do what the test wants."""
        self.seen.append(bar.sequence)
        if self.answer is not None:
            return await self.answer(bar, context)
        return bar

    @tool()
    async def double(self, number: int) -> int:
        """Double a number."""
        return 2 * number

    @tool()
    async def wait(self) -> str:
        """Wait until the test lets go."""
        self.entered.set()
        try:
            await self.proceed.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"

    async def on_stop(self) -> Outputs:
        """Say good-bye."""
        return Bar(symbol="bye")


Connect = Callable[[], Client]


@pytest.fixture(params=["socket", "memory"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Returns a new client of one bus each time it is called."""
    if request.param == "memory":
        yield InMemoryBus().client
        return
    async with running_coordinator() as running:
        yield lambda: connect(running.unix)


@pytest.fixture
async def client(server: Connect) -> AsyncIterator[Client]:
    async with server() as connected:
        yield connected


@asynccontextmanager
async def run(
    server: Connect, agent: Agent, settings: RunSettings = RUN
) -> AsyncIterator[AgentRunner]:
    """Run the agent on a connection of its own until the block ends."""
    async with server() as connected:
        runner = AgentRunner(agent, connected, settings)
        task = asyncio.create_task(runner.run())
        ready = asyncio.create_task(runner.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield runner
        runner.stop()
        await task


async def publish(client: Client, *sequences: int) -> None:
    for sequence in sequences:
        await client.publisher("test").publish(
            IN, Bar(sequence=sequence), key="EURUSD", time_unix_nano=sequence
        )


async def take(client: Client, count: int, topic: str = OUT) -> list[Message]:
    """Read a topic from its beginning."""
    taken: list[Message] = []
    async with (
        asyncio.timeout(10),
        client.subscribe(topic, subscription=f"reader-of-{topic}") as subscription,
    ):
        async for received in subscription:
            taken.append(received.message)
            if len(taken) == count:
                return taken
    raise AssertionError("the subscription ended")


def sequences(messages: list[Message]) -> list[int]:
    return [Bar.FromString(message.data).sequence for message in messages]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.005)


async def listed_errors(client: Client) -> int:
    """Return what the directory knows of the only agent's errors."""
    (status,) = await client.admin.list_agents()
    return status.load.handler_errors


async def test_outputs_descend_from_their_inputs_and_the_watermark_comes_last(server, client):
    async with run(server, Echo()) as runner:
        await publish(client, 0, 1)
        mark = Watermark(stage="bars", symbol="EURUSD", time_unix_nano=1)
        await client.publisher("test").publish(IN, mark, key="EURUSD", time_unix_nano=1)
        *bars, watermark = await take(client, 3)
        inputs = await take(client, 3, IN)
    assert sequences(bars) == [0, 1]
    assert [m.causation_id for m in (*bars, watermark)] == [m.id for m in inputs]
    assert [m.correlation_id for m in bars] == [m.id for m in inputs[:2]]
    assert [m.source for m in bars] == ["agents/echo-0"] * 2
    assert Watermark.FromString(watermark.data).stage == "echoed"
    assert (runner.counters.handled, runner.counters.published) == (3, 4)  # and the good-bye


async def test_failing_message_is_retried_then_skipped_and_the_next_ones_keep_their_order(
    server, client
):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        if bar.sequence == 1:
            raise LookupError("no such bar")
        return bar

    agent = Echo(answer)
    async with run(server, agent) as runner:
        await publish(client, 0, 1, 2, 3)
        assert sequences(await take(client, 3)) == [0, 2, 3]
        await until(lambda: runner.counters.poison == 1)
        assert (runner.counters.errors, agent.seen.count(1)) == (3, 3)
        assert agent.seen.index(2) > len(agent.seen) - 3
        async with asyncio.timeout(10):
            while (await listed_errors(client)) != 3:  # noqa: ASYNC110  # a report has no event
                await asyncio.sleep(0.01)


async def test_message_that_fails_once_is_handled_when_it_comes_again(server, client):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        if bar.sequence == 1 and context.attempt == 0:
            raise LookupError("not yet")
        return bar

    async with run(server, Echo(answer)) as runner:
        await publish(client, 0, 1, 2)
        assert sequences(await take(client, 3)) == [0, 1, 2]
        assert (runner.counters.errors, runner.counters.poison) == (1, 0)


async def test_undecodable_message_is_skipped_at_once(server, client):
    async with run(server, Echo()) as runner:
        publisher = client.publisher("test")
        await publisher.publish(IN, b"\xff\xff", type="bellwire.trading.v1.Bar", key="EURUSD")
        await publish(client, 1)
        assert sequences(await take(client, 1)) == [1]
        assert (runner.counters.poison, runner.counters.released) == (1, 0)


async def test_output_the_bus_refuses_costs_its_input_and_nothing_else(server, client):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        return [bar, Publication(OUT, b"x" * (8 << 20), type="t")] if bar.sequence == 1 else bar

    async with run(server, Echo(answer)) as runner:
        await publish(client, 0, 1, 2)
        await until(lambda: runner.counters.poison == 1)
        messages = await take(client, 5)
    distinct = {message.id: message for message in messages}
    assert sequences(list(distinct.values())) == [0, 1, 2]  # the good half came thrice, one id
    assert runner.counters.errors == 3


async def test_handler_error_ends_the_run_when_asked_to(server, client):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        raise ZeroDivisionError

    settings = RunSettings(crash_on_error=True)
    async with server() as connected:
        task = asyncio.create_task(AgentRunner(Echo(answer), connected, settings).run())
        await publish(client, 0)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 10)
    assert await client.admin.list_agents() == []
    (last,) = await take(client, 1)
    assert Bar.FromString(last.data).symbol == "bye"


class Unstoppable(Echo):
    """Fails to stop, too."""

    stopped = False

    async def on_stop(self) -> Outputs:
        """Fail."""
        self.stopped = True
        raise KeyError("cannot stop")


async def test_an_error_while_stopping_after_a_failure_does_not_hide_it(server, client, caplog):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        raise ZeroDivisionError

    agent = Unstoppable(answer)
    async with server() as connected:
        runner = AgentRunner(agent, connected, RunSettings(crash_on_error=True))
        task = asyncio.create_task(runner.run())
        await publish(client, 0)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 10)
    assert agent.stopped
    assert "could not be stopped in order" in caplog.text


async def test_a_run_that_is_cancelled_stops_its_agent(server, client):
    async with server() as connected:
        runner = AgentRunner(Echo(), connected, RUN)
        task = asyncio.create_task(runner.run())
        await asyncio.wait_for(runner.ready.wait(), 10)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    (last,) = await take(client, 1)
    assert Bar.FromString(last.data).symbol == "bye"


async def test_replicas_compete_and_broadcast_agents_each_see_all(server, client):
    replicas = [Echo(agent_id=f"echo-{n}") for n in range(2)]
    watchers = [Echo(agent_id=f"watch-{n}") for n in range(2)]
    broadcast = RunSettings(broadcast=True)
    async with (
        run(server, replicas[0]),
        run(server, replicas[1]),
        run(server, watchers[0], broadcast),
        run(server, watchers[1], broadcast),
    ):
        await publish(client, 0, 1, 2)
        await until(lambda: all(len(watcher.seen) == 3 for watcher in watchers))
        await until(lambda: sum(len(replica.seen) for replica in replicas) == 3)
    assert sorted(replicas[0].seen + replicas[1].seen) == [0, 1, 2]
    assert [watcher.seen for watcher in watchers] == [[0, 1, 2]] * 2


async def test_tool_is_listed_and_called(server, client):
    async with run(server, Echo()) as runner:
        (listed,) = [t for t in await client.list_tools() if t.name == "double"]
        assert listed.description == "Double a number."
        assert json.loads(listed.input_schema_json)["required"] == ["number"]
        reply = await client.call("double", {"number": 4})
        assert (reply.json(), reply.is_error, reply.agent_id) == (8, False, "echo-0")
        wrong = await client.call("double", {"number": "4"})
        assert wrong.is_error
        assert "must be integer" in wrong.result.decode()
        with pytest.raises(NoCapableAgentError, match="halve"):
            await client.call("halve", {})
        assert (runner.counters.calls, runner.counters.call_errors) == (2, 1)


async def test_tool_that_is_too_slow_is_cancelled_at_the_callers_deadline(server, client):
    agent = Echo()
    async with run(server, agent):
        with pytest.raises(DeadlineExceededError):
            await client.call("wait", {}, timeout=0.2)
        await asyncio.wait_for(agent.cancelled.wait(), 10)


async def test_call_whose_caller_went_away_is_cancelled(server, client):
    agent = Echo()
    async with run(server, agent) as runner:
        calling = asyncio.create_task(client.call("wait", {}, timeout=30))
        await asyncio.wait_for(agent.entered.wait(), 10)
        calling.cancel()
        await asyncio.wait_for(agent.cancelled.wait(), 10)
        await until(lambda: runner.counters.call_errors == 1)


async def test_calls_beyond_the_limit_are_refused_and_those_within_finish(server, client):
    agent = Echo()
    async with run(server, agent, RunSettings(calls_max=1)):
        first = asyncio.create_task(client.call("wait", {}))
        await asyncio.wait_for(agent.entered.wait(), 10)
        with pytest.raises(AgentBusyError):
            await client.call("double", {"number": 1}, timeout=1)
        agent.proceed.set()
        assert (await first).json() == "done"


async def test_stop_finishes_the_message_in_hand_and_leaves_the_rest(server, client):
    entered, proceed = asyncio.Event(), asyncio.Event()

    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        entered.set()
        await proceed.wait()
        return bar

    first = Echo(answer)
    async with run(server, first) as runner:
        await publish(client, 0, 1, 2)
        await asyncio.wait_for(entered.wait(), 10)
        runner.stop()
        await asyncio.sleep(0)
        proceed.set()
    assert first.seen == [0]
    second = Echo()
    async with run(server, second):
        *_, last = await take(client, 4)
    assert second.seen == [1, 2]
    assert Bar.FromString(last.data).sequence == 2
    assert await client.admin.list_agents() == []


async def test_agent_that_does_not_finish_in_time_is_stopped_and_its_message_comes_again(
    server, client
):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        await asyncio.Event().wait()
        return None

    stuck = Echo(answer)
    async with run(server, stuck, RunSettings(stop_grace_seconds=0.1)) as runner:
        await publish(client, 7)
        await until(lambda: stuck.seen == [7])
        runner.stop()
    fresh = Echo()
    async with run(server, fresh):
        await until(lambda: fresh.seen == [7])
    assert stuck.seen == [7]


async def test_lost_lines_cost_no_message_and_no_order():
    bus = InMemoryBus()
    count = 40

    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        if bar.sequence % 10 == 5 and context.attempt == 0:
            bus.disconnect()
        await asyncio.sleep(0)
        return bar

    agent = Echo(answer)
    async with bus.client() as client, run(bus.client, agent) as runner:
        await publish(client, *range(count))
        distinct: dict[str, Message] = {}
        async with asyncio.timeout(30), client.subscribe(OUT, subscription="reader") as reader:
            async for received in reader:
                distinct.setdefault(received.id, received.message)
                if len(distinct) == count:
                    break
        assert sequences(list(distinct.values())) == list(range(count))
        assert (runner.counters.errors, runner.counters.poison) == (0, 0)


async def test_slow_message_gets_a_span_though_its_trace_is_not_sampled(server, client, tmp_path):
    async def answer(bar: Bar, context: MessageContext) -> Outputs:
        await asyncio.sleep(0.25 if bar.sequence == 1 else 0)
        return bar

    tracing = configure_tracing("tests", sample_ratio=0.0, otlp_json_path=tmp_path)
    async with run(server, Echo(answer), RunSettings(slow_seconds=0.2)):
        await publish(client, 0, 1, 2)
        await take(client, 3)
    tracing.shutdown()
    (span,) = [span for span in read_trace_dir(tmp_path) if span.name == f"process {IN}"]
    assert span.duration_nanos >= 200_000_000
    assert not span.is_error
    assert span.attributes["messaging.bellwire.offset"] == 1


async def test_tool_call_is_a_span_under_its_caller_and_tells_its_failure(server, client, tmp_path):
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    tracing = configure_tracing("tests", sample_ratio=0.0, otlp_json_path=tmp_path)
    async with run(server, Echo()):
        await client.call("double", {"number": 1}, traceparent=caller)
        await client.call("double", {"number": "x"}, traceparent=caller)
        await client.call("double", {"number": 2})
    tracing.shutdown()
    good, bad = [span for span in read_trace_dir(tmp_path) if span.name == "tools/call double"]
    assert (good.trace_id, good.parent_span_id, good.kind) == (
        caller[3:35],
        caller[36:52],
        "SERVER",
    )
    assert (good.is_error, bad.is_error) == (False, True)
    assert bad.attributes["error.type"] == "tool_error"
    assert good.attributes["gen_ai.tool.name"] == "double"
