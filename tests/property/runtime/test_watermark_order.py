"""No watermark overtakes an output, whatever fails, is refused, or comes again.

The bus here is a broken line under the test's control: it acknowledges or refuses one publication
at a time when told, and redelivers what is released, in order, as the contract of ordering
PARTITION says. The in-memory double cannot be told to refuse.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import DISPOSITION_ACCEPT, DISPOSITION_RELEASE, Disposition
from bellwire.client.protocol import BusClient, BusPublisher, BusSubscription
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.client.results import PublishResult
from bellwire.runtime import Agent, MessageContext, Publication, subscribe
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.history import BusHistory
from bellwire.runtime.lane import Lane
from bellwire.runtime.outbox import Outbox
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.work import MessageWork
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.wire.errors import CallerError
from bellwire.wire.message import new_message

TOPIC = "bars.1h"
RUN = RunSettings(attempts_max=3)
STEPS_MAX = 5_000


@dataclass
class Script:
    """What will happen, drawn by hypothesis; after its end everything goes well."""

    outputs: list[int]
    """Outputs per bar; -1 = a watermark instead of a bar."""
    raises: list[bool]
    """For each run of a handler in turn: whether it raises."""
    refusals: list[bool]
    """For each publication in turn: whether the bus refuses it."""
    pace: list[int]
    """What to do next: 0 deliver, 1 answer one publication, 2 let the agent run."""


class ScriptedPublisher:
    """Keeps order; answers when told."""

    def __init__(self, refusals: Iterable[bool]) -> None:
        self.log: list[Message] = []
        self.waiting: list[tuple[Message, asyncio.Future[PublishResult]]] = []
        self._refusals = iter(refusals)

    async def enqueue(
        self,
        topic: str,
        message: Message,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # as the Protocol has it
    ) -> asyncio.Future[PublishResult]:
        future: asyncio.Future[PublishResult] = asyncio.get_running_loop().create_future()
        self.waiting.append((message, future))
        return future

    def answer_one(self) -> None:
        if not self.waiting:
            return
        message, future = self.waiting.pop(0)
        if next(self._refusals, False):
            future.set_exception(CallerError("refused"))
            return
        self.log.append(message)
        future.set_result(PublishResult("out", 0, len(self.log) - 1))


@dataclass
class ScriptedPartition:
    """One partition whose messages are held by one member."""

    log: list[Message]
    next_offset: int = 0
    in_flight: set[int] = field(default_factory=set)
    released: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)

    def deliver(self) -> list[ReceivedMessage]:
        """Hand out the earliest released message, or else the next new ones, three at most."""
        if self.released:
            offset = min(self.released)
            attempt = self.released.pop(offset)
            return self._handed_out([offset], attempt)
        first = self.next_offset
        self.next_offset = min(first + 3, len(self.log))
        return self._handed_out(range(first, self.next_offset), 0)

    def _handed_out(self, offsets: Sequence[int], attempt: int) -> list[ReceivedMessage]:
        if not offsets:
            return []
        self.in_flight.update(offsets)
        messages = [self.log[offset] for offset in offsets]
        return list(Batch(messages, TOPIC, 0, offsets[0], self, attempt=attempt))

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        for offset in range(batch.first_offset + first, batch.first_offset + last + 1):
            self.in_flight.remove(offset)  # settled twice = KeyError
            if disposition == DISPOSITION_ACCEPT:
                self.accepted.add(offset)
            else:
                assert disposition == DISPOSITION_RELEASE
                self.released[offset] = batch.attempt + 1

    async def accept(self, delivered: ReceivedMessage | Batch) -> None:
        assert isinstance(delivered, ReceivedMessage)
        self.settle(delivered.batch, delivered.index, delivered.index, DISPOSITION_ACCEPT)

    async def release(
        self, delivered: ReceivedMessage | Batch, *, delay_seconds: float = 0.0
    ) -> None:
        assert isinstance(delivered, ReceivedMessage)
        self.settle(delivered.batch, delivered.index, delivered.index, DISPOSITION_RELEASE)

    @property
    def is_done(self) -> bool:
        return len(self.accepted) == len(self.log)


def agent_for(script: Script) -> Agent:
    raises = iter(script.raises)

    class Producer(Agent):
        name = "producer"
        publishes = ("out",)
        stage = "produced"

        @subscribe(TOPIC, Bar)
        async def on_bar(self, bar: Bar, context: MessageContext) -> list[Publication]:
            """Publish as many bars as the script says, or raise."""
            await asyncio.sleep(0)
            if next(raises, False):
                raise RuntimeError("scripted")
            return [
                Publication("out", Bar(symbol=bar.symbol, sequence=index))
                for index in range(script.outputs[bar.sequence])
            ]

    return Producer()


def inputs(script: Script) -> list[Message]:
    made = []
    for index, outputs in enumerate(script.outputs):
        payload = (
            Watermark(stage="bars", symbol="X", time_unix_nano=index)
            if outputs < 0
            else Bar(symbol=str(index), sequence=index)
        )
        made.append(
            new_message(
                data=payload.SerializeToString(),
                type=payload.DESCRIPTOR.full_name,
                key="X",
                time_unix_nano=index,
            )
        )
    return made


async def settled(steps: int = 5) -> None:
    """Let every task run until it waits for something the test controls."""
    for _ in range(steps):
        await asyncio.sleep(0)


async def play(script: Script) -> tuple[ScriptedPartition, ScriptedPublisher, RunCounters]:
    dispatcher = Dispatcher(agent_for(script))
    publisher = ScriptedPublisher(script.refusals)
    partition = ScriptedPartition(inputs(script))
    counters = RunCounters()
    outbox = Outbox(
        cast("BusPublisher", publisher),
        name="producer",
        agent_id="producer-0",
        timeout_seconds=1.0,
        counters=counters,
    )
    history = BusHistory(cast("BusClient", None))  # The agent reads nothing back.
    work = MessageWork(dispatcher, outbox, history, consumer_group="producer", slow_seconds=60.0)
    lane = Lane(work, cast("BusSubscription", partition), RUN, counters)
    running = asyncio.create_task(lane.run())
    pace = iter(script.pace)
    actions: list[Callable[[], object]] = [
        lambda: lane.offer(partition.deliver()),
        publisher.answer_one,
    ]
    for step in range(STEPS_MAX):
        if partition.is_done and not publisher.waiting:
            break
        chosen = next(pace, step % 2)
        if chosen < len(actions):
            actions[chosen]()
        await settled()
        assert not running.done()
    lane.stop()
    await running
    return partition, publisher, counters


scripts = st.builds(
    Script,
    outputs=st.lists(st.integers(-1, 3), min_size=1, max_size=12),
    raises=st.lists(st.booleans(), max_size=12),
    refusals=st.lists(st.sampled_from([False, False, True]), max_size=20),
    pace=st.lists(st.integers(0, 2), max_size=60),
)


@given(script=scripts)
@settings(deadline=None, max_examples=300)
def test_no_watermark_overtakes_an_output_and_nothing_is_lost(script: Script) -> None:
    partition, publisher, counters = asyncio.run(play(script))
    assert partition.is_done
    assert not partition.released
    first_seen: dict[str, int] = {}
    for position, message in enumerate(publisher.log):
        first_seen.setdefault(message.id, position)
    by_input: dict[str, list[Message]] = {}
    for message in publisher.log:
        by_input.setdefault(message.causation_id, []).append(message)
    whole = 0
    for index, source in enumerate(partition.log):
        produced = {message.id: message for message in by_input.get(source.id, [])}
        expected = max(script.outputs[index], 1 if script.outputs[index] < 0 else 0)
        whole += len(produced) == expected
        if script.outputs[index] >= 0 or not produced:
            continue
        (watermark,) = produced
        for earlier in partition.log[:index]:
            for message in by_input.get(earlier.id, []):
                assert first_seen[message.id] < first_seen[watermark]
    # Only poison may be missing, and it is counted.
    assert whole + counters.poison >= len(script.outputs)


@given(script=scripts)
@settings(deadline=None, max_examples=100)
def test_without_faults_every_output_is_published_once_in_order(script: Script) -> None:
    calm = Script(script.outputs, [], [], script.pace)
    partition, publisher, counters = asyncio.run(play(calm))
    assert partition.is_done
    sources = {message.id: index for index, message in enumerate(partition.log)}
    order = [sources[message.causation_id] for message in publisher.log]
    expected = [
        index
        for index, outputs in enumerate(calm.outputs)
        for _ in range(outputs if outputs >= 0 else 1)
    ]
    assert order == expected
    assert (counters.released, counters.errors, counters.poison) == (0, 0, 0)
    assert counters.published == len(expected)
