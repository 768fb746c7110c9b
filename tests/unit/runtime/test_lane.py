"""bellwire.runtime.lane: when an agent is told to take a partition up."""

import asyncio
from collections.abc import Sequence
from typing import cast

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.subscriber_pb2 import Disposition
from bellwire.client.protocol import BusPublisher, BusSubscription
from bellwire.client.received import Batch, ReceivedMessage
from bellwire.runtime import Agent, AssignedPartition, MessageContext, RunSettings, subscribe
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.lane import Lane
from bellwire.runtime.outbox import Outbox
from bellwire.runtime.work import MessageWork
from bellwire.trading.v1.market_data_pb2 import Bar

TOPIC = "bars.1h"


class Reader(Agent):
    """Notes what it is told."""

    name = "reader"

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    async def on_assigned(self, partition: AssignedPartition) -> None:
        before = [message.id for message in await partition.before(2)]
        self.events.append(f"assigned @{partition.offset}, before {before}")

    @subscribe(TOPIC, Bar)
    async def on_bar(self, bar: Bar, context: MessageContext) -> None:
        self.events.append(context.message_id)


class Log:
    """The messages there are, by offset; what is not there is a gap."""

    def __init__(self, *offsets: int) -> None:
        self.messages = {
            offset: Message(id=f"m{offset}", type=Bar.DESCRIPTOR.full_name) for offset in offsets
        }

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int
    ) -> Sequence[Message]:
        found = range(max(0, offset - messages_max), offset)
        return [self.messages[each] for each in found if each in self.messages]

    async def newest(self, topic: str, messages_max: int) -> Sequence[Message]:
        return []


class Settled:
    """Takes dispositions; says when so many messages are accepted."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.done = asyncio.Event()

    def settle(
        self,
        batch: Batch,
        first: int,
        last: int,
        disposition: Disposition.ValueType,
        delay_millis: int = 0,
        reason: str = "",
    ) -> None:
        """Nobody asks."""

    async def accept(self, received: ReceivedMessage) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


async def handled(log: Log, *offsets: int) -> list[str]:
    """Deliver messages of the log, and return what the agent was told."""
    agent, counters, settled = Reader(), RunCounters(), Settled(len(offsets))
    outbox = Outbox(
        cast("BusPublisher", None),
        name="reader",
        agent_id="reader-0",
        timeout_seconds=1.0,
        counters=counters,
    )
    work = MessageWork(Dispatcher(agent), outbox, log, consumer_group="reader", slow_seconds=60.0)
    lane = Lane(work, cast("BusSubscription", settled), RunSettings(), counters)
    running = asyncio.create_task(lane.run())
    for offset in offsets:
        lane.offer(Batch([log.messages[offset]], TOPIC, 0, offset, settled))
    async with asyncio.timeout(10):
        await settled.done.wait()
        lane.stop()
        await running
    return agent.events


async def test_a_partition_is_taken_up_once_while_nothing_is_missing() -> None:
    events = await handled(Log(*range(6)), 3, 4, 5)
    assert events == ["assigned @3, before ['m1', 'm2']", "m3", "m4", "m5"]


async def test_it_is_taken_up_again_where_another_replica_had_messages_of_it() -> None:
    events = await handled(Log(*range(9)), 0, 1, 5, 6)
    assert events == [
        "assigned @0, before []",
        "m0",
        "m1",
        "assigned @5, before ['m3', 'm4']",
        "m5",
        "m6",
    ]


async def test_offsets_without_a_message_are_nothing_that_was_missed() -> None:
    events = await handled(Log(0, 1, 3, 4, 6), 0, 1, 3, 4, 6)
    assert events == ["assigned @0, before []", "m0", "m1", "m3", "m4", "m6"]
