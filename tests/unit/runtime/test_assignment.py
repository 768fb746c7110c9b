"""bellwire.runtime.assignment: what an agent may read back, and how much of it."""

from collections.abc import Sequence

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.assignment import (
    MESSAGES_MAX,
    AssignedPartition,
    HistoryRequestError,
    PayloadType,
)
from bellwire.trading.v1.signal_pb2 import Signal


class Asked:
    """A history that says what it was asked."""

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        return [Message(id=f"{topic}/{partition}@{offset} {messages_max}", type=type_name)]

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        return [Message(id=f"{topic} {messages_max}", type=type_name)]


def partition(offset: int) -> AssignedPartition:
    return AssignedPartition("bars.1h", 3, offset, Asked())


async def test_it_asks_for_the_messages_before_its_own_offset() -> None:
    assert await partition(7).before(5) == [Message(id="bars.1h/3@7 5")]
    assert await partition(7).newest("signals", 5) == [Message(id="signals 5")]


@pytest.mark.parametrize("asked", [Signal, "bellwire.trading.v1.Signal"])
async def test_a_type_is_asked_for_by_its_class_or_its_name(asked: PayloadType) -> None:
    for found in (
        await partition(7).before(5, type=asked),
        await partition(7).newest("signals", 5, type=asked),
    ):
        assert [message.type for message in found] == ["bellwire.trading.v1.Signal"]


@pytest.mark.parametrize("offset", [0, -1])
async def test_nothing_is_before_the_first_message_and_one_without_an_offset(offset: int) -> None:
    assert list(await partition(offset).before(5)) == []


async def test_none_are_read_where_none_are_wanted() -> None:
    assert list(await partition(7).before(0)) == []
    assert list(await partition(7).newest("signals", 0)) == []
    assert list(await partition(7).newest("", 5)) == []


@pytest.mark.parametrize("count", [-1, MESSAGES_MAX + 1])
async def test_more_than_may_be_is_refused(count: int) -> None:
    with pytest.raises(HistoryRequestError, match=f"{count} messages are asked for") as caught:
        await partition(7).before(count)
    assert caught.value.messages_max == count
    with pytest.raises(HistoryRequestError):
        await partition(7).newest("signals", count)
