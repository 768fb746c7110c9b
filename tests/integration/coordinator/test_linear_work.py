"""What the core does for n things must cost about n: lines executed are counted, so no clock can blur it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import pytest
from tests.integration.coordinator.frames import (
    ACCEPT,
    PublishStream,
    Stubs,
    SubscribeStream,
    batch,
    payloads,
    within,
)
from tests.integration.coordinator.guarantees import served

from bellwire.admin.v1 import topic_pb2
from bellwire.bus.v1 import subscriber_pb2
from bellwire.bus.v1.subscriber_pb2 import ORDERING_NONE, Settle, Settlement
from bellwire.coordinator.core.member import Member

pytestmark = pytest.mark.integration

SMALL, LARGE = 150, 600
# Four times the things must not cost sixteen times the lines, as anything quadratic would.
GROWTH_MAX = 2 * LARGE / SMALL
CORE = "/bellwire/coordinator/core/"
SETTLEMENTS_MAX = 1_000  # In one frame.


class Lines:
    """Counts the lines of the core that are executed while it is open; client and server share this thread."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Lines:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._on_line if CORE in frame.f_code.co_filename else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.count += event == "line"
        return self._on_line


async def growth(work: Callable[[Stubs, int, Lines], Awaitable[None]]) -> float:
    """How many times the lines it takes to do the work for LARGE instead of SMALL."""
    counts = []
    for size in (SMALL, LARGE):
        lines = Lines()
        async with served() as bus:
            await work(bus, size, lines)
        counts.append(lines.count)
    assert counts[0] > SMALL, "nothing was counted"
    return counts[1] / counts[0]


async def many_topics(bus: Stubs, size: int) -> None:
    for index in range(size):
        topic = topic_pb2.Topic(name=f"t.{index}")
        await within(bus.topics.CreateTopic(topic_pb2.CreateTopicRequest(topic=topic)))


async def backlog(bus: Stubs, size: int) -> None:
    publisher = await PublishStream(bus).open()
    for _ in range(size):
        await publisher.publish(batch(b"x"))
    await publisher.acknowledged(size)


async def read(stream: SubscribeStream, size: int) -> None:
    """Read so many messages, and settle none."""
    count = 0
    while count < size:
        frame = await stream.read()
        count += len(payloads(frame.deliveries.deliveries or [frame.delivery]))


async def applied(stream: SubscribeStream) -> None:
    """Wait until all settlements sent so far are applied: the refusal of this one tells."""
    await stream.settle_tags(2**40, 2**40)
    await stream.read_arm("settle_failure")


async def test_to_attach_a_subscription_to_n_topics():
    async def attach(bus: Stubs, size: int, lines: Lines) -> None:
        await many_topics(bus, size)
        with lines:
            await SubscribeStream(bus).open("risk", topics=[">"])

    assert await growth(attach) < GROWTH_MAX


async def test_to_let_a_second_member_join_over_n_partitions():
    async def join(bus: Stubs, size: int, lines: Lines) -> None:
        await many_topics(bus, size)
        await SubscribeStream(bus).open("risk", topics=[">"])
        with lines:
            await SubscribeStream(bus).open("risk", topics=[">"])

    assert await growth(join) < GROWTH_MAX


async def test_to_deliver_a_backlog_of_n_batches():
    async def deliver(bus: Stubs, size: int, lines: Lines) -> None:
        await backlog(bus, size)
        with lines:
            stream = await SubscribeStream(bus).open("risk", max_frame_deliveries=64)
            await read(stream, size)

    assert await growth(deliver) < GROWTH_MAX


@pytest.mark.parametrize("order", ["first to last", "last to first", "at once"])
async def test_to_settle_n_deliveries(order: str):
    async def settle(bus: Stubs, size: int, lines: Lines) -> None:
        await backlog(bus, size)
        stream = await SubscribeStream(bus).open("risk", max_frame_deliveries=64)
        await read(stream, size)
        tags = {
            "first to last": [(tag, tag) for tag in range(1, size + 1)],
            "last to first": [(tag, tag) for tag in range(size, 0, -1)],
            "at once": [(1, size)],
        }[order]
        assert len(tags) <= SETTLEMENTS_MAX
        items = [Settlement(first_tag=a, last_tag=b, disposition=ACCEPT) for a, b in tags]
        with lines:
            await stream.send(settle=Settle(settlements=items))
            await applied(stream)

    assert await growth(settle) < GROWTH_MAX


async def test_to_release_n_deliveries_and_bring_them_again():
    async def release(bus: Stubs, size: int, lines: Lines) -> None:
        await backlog(bus, size)
        stream = await SubscribeStream(bus).open(
            "risk", max_frame_deliveries=64, ordering=ORDERING_NONE
        )
        await read(stream, size)
        with lines:
            await stream.settle_tags(1, size, subscriber_pb2.DISPOSITION_RELEASE)
            await read(stream, size)

    assert await growth(release) < GROWTH_MAX


async def test_to_lose_a_member_that_held_n_deliveries():
    async def lose(bus: Stubs, size: int, lines: Lines) -> None:
        await backlog(bus, size)
        stream = await SubscribeStream(bus).open("risk", max_frame_deliveries=64)
        await read(stream, size)
        with lines:
            await stream.finish()
            heir = await SubscribeStream(bus).open("risk", max_frame_deliveries=64)
            await read(heir, size)

    assert await growth(lose) < GROWTH_MAX


async def test_to_publish_to_n_subscribers():
    async def publish(bus: Stubs, size: int, lines: Lines) -> None:
        streams = [await SubscribeStream(bus).open() for _ in range(size)]
        with lines:
            await bus.publish(b"x")
            for stream in streams:
                await stream.delivery()

    assert await growth(publish) < GROWTH_MAX


async def test_a_line_that_is_executed_n_times_n_would_be_noticed(monkeypatch):
    settle = Member.settle

    def slow(member: Member, first_tag: int, last_tag: int) -> Any:
        for _ in range(len(member._in_flight)):
            member._blocks_of(first_tag, last_tag)
        return settle(member, first_tag, last_tag)

    monkeypatch.setattr(Member, "settle", slow)
    with pytest.raises(AssertionError):
        await test_to_settle_n_deliveries("last to first")
