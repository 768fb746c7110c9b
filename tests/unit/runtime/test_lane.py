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
        self.looks = 0
        self.messages = {
            offset: Message(id=f"m{offset}", type=Bar.DESCRIPTOR.full_name) for offset in offsets
        }

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        await asyncio.sleep(0)  # As a log that is asked over a wire.
        found = range(max(0, offset - messages_max), offset)
        return [self.messages[each] for each in found if each in self.messages]

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        self.looks += 1
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


def work_of(agent: Agent, log: Log, counters: RunCounters) -> MessageWork:
    outbox = Outbox(
        cast("BusPublisher", None),
        name=agent.name,
        agent_id=agent.agent_id,
        timeout_seconds=1.0,
        counters=counters,
    )
    dispatcher = Dispatcher(agent)
    return MessageWork(dispatcher, outbox, log, consumer_group=agent.name, slow_seconds=60.0)


async def handled(log: Log, *offsets: int) -> list[str]:
    """Deliver messages of the log, and return what the agent was told."""
    agent, counters, settled = Reader(), RunCounters(), Settled(len(offsets))
    work = work_of(agent, log, counters)
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


async def test_a_gap_of_which_nothing_is_left_is_taken_for_something_that_was_missed() -> None:
    events = await handled(Log(0, 1, 40), 0, 1, 40)
    assert events == ["assigned @0, before []", "m0", "m1", "assigned @40, before []", "m40"]


class Follower(Reader):
    """Reads its own topic, too."""

    async def on_assigned(self, partition: AssignedPartition) -> None:
        await partition.before(2)
        await partition.newest("signals", 100)


async def test_partitions_that_are_taken_up_together_share_one_look_at_a_topic() -> None:
    log, counters, settled = Log(0), RunCounters(), Settled(16)
    work = work_of(Follower(), log, counters)
    lanes = [
        Lane(work, cast("BusSubscription", settled), RunSettings(), counters) for _ in range(16)
    ]
    running = [asyncio.create_task(lane.run()) for lane in lanes]
    for partition, lane in enumerate(lanes):
        lane.offer(Batch([log.messages[0]], TOPIC, partition, 1, settled))
    async with asyncio.timeout(10):
        await settled.done.wait()
        for lane in lanes:
            lane.stop()
        await asyncio.gather(*running)
    assert log.looks == 1
