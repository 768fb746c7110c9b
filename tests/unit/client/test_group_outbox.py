"""Topics that pass to a group that does not take them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.bus.v1.publisher_pb2 import ACK_LEVEL_UNSPECIFIED
from bellwire.client._group_outbox import GroupOutbox
from bellwire.client._segment import Segment
from bellwire.policy.topic_groups import GroupEntry, TopicGroups
from bellwire.wire.errors import BellwireError, ProducerFencedError, UnknownTopicError


class _Pool:
    def __init__(self, group: str) -> None:
        self.group = group


class _Groups:
    home = "a"

    def __init__(self) -> None:
        self.map = TopicGroups([GroupEntry("a", ("t",)), GroupEntry("b", ("u",))], "a")
        self.listeners: list[Any] = []

    def listen(self, listener: Any) -> None:
        self.listeners.append(listener)

    def ignore(self, listener: Any) -> None:
        self.listeners.remove(listener)

    def reread_soon(self) -> None:
        pass

    async def owner_of(self, topic: str, seconds: float | None) -> str:
        return self.map.group_of(topic) or "a"

    async def pool_of(self, group: str, seconds: float | None) -> _Pool:
        return _Pool(group)

    async def at_owner(self, topic: str, seconds: float, ask: Any) -> Any:
        return await ask(_Pool(self.map.group_of(topic) or "a"), seconds)

    def move(self) -> None:
        self.map = TopicGroups([GroupEntry("a", ("u",)), GroupEntry("b", ("t",))], "a")
        for listener in self.listeners:
            listener()


class _Outbox:
    """Keeps what it is given; `finds` and `takes` are what it says to a topic, and to what is taken to it."""

    def __init__(self) -> None:
        self.finds: BellwireError | None = None
        self.takes: BellwireError | None = None
        self.asked = 0
        self.held: list[Segment] = []

    async def find(self, topic: str, seconds: float) -> None:
        self.asked += 1
        await asyncio.sleep(0.001)
        if self.finds is not None:
            raise type(self.finds)(self.finds.message)

    async def enqueue(self, topic: str, message: Message, seconds: float) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.held.append(Segment([message], 1, future))
        return future

    def check_usable(self) -> None:
        if self.takes is not None:
            raise self.takes

    def holds(self, topic: str) -> bool:
        return bool(self.held)

    def give_away(self, topic: str) -> list[tuple[int, Segment]]:
        given, self.held = self.held, []
        return [(0, segment) for segment in given]

    def take_over(self, topic: str, partition: int, segment: Segment) -> None:
        self.check_usable()
        self.held.append(segment)

    def refuse(self, topic: str, error: BellwireError) -> None:
        for _, segment in self.give_away(topic):
            segment.ticket.set_exception(error)  # type: ignore[attr-defined]

    async def flush(self, seconds: float) -> None:
        pass


async def _moved(error: str) -> tuple[GroupOutbox, _Groups, _Outbox, asyncio.Future[Any]]:
    groups, outboxes = _Groups(), {"a": _Outbox(), "b": _Outbox()}
    if error == "find":
        outboxes["b"].finds = UnknownTopicError("auto-create is off")
    else:
        outboxes["b"].takes = ProducerFencedError("a newer instance has taken over")
    merged: Any = GroupOutbox(
        groups,  # type: ignore[arg-type]
        lambda pool: outboxes[pool.group],  # type: ignore[arg-type, return-value]
        ACK_LEVEL_UNSPECIFIED,
        1.0,
    )
    future = await merged.enqueue("t", Message(), 1.0)
    groups.move()
    await asyncio.sleep(0.3)
    return merged, groups, outboxes["b"], future


@pytest.mark.parametrize("error", ["find", "take"])
async def test_who_waits_hears_that_the_new_group_refuses(error: str) -> None:
    merged, _, _, future = await _moved(error)
    assert isinstance(
        future.exception() if future.done() else None, UnknownTopicError | ProducerFencedError
    )
    await merged.close(0.1)


async def test_a_group_that_refuses_a_topic_is_not_asked_without_end() -> None:
    merged, _, new, _ = await _moved("find")
    assert new.asked < 5
    with pytest.raises(UnknownTopicError):
        await merged.enqueue("t", Message(), 0.5)
    await merged.flush(0.5)
    await merged.close(0.1)


async def test_nothing_moves_once_it_is_closed() -> None:
    merged, _, new, _ = await _moved("find")
    await merged.close(0.1)
    asked = new.asked
    await asyncio.sleep(0.05)
    assert new.asked == asked
