"""bellwire.runtime.shared_looks: one look for all that may use it, and none that lacks something."""

import asyncio
from collections.abc import Sequence

import pytest

from bellwire.bus.v1.message_pb2 import Message
from bellwire.runtime.patience import _CURRENT, patience
from bellwire.runtime.shared_looks import LOOKS_MAX, TURNS_MAX, SharedLooks
from bellwire.wire.errors import PeerError


class Counted:
    """A history whose looks are numbered; each waits until it may end, some fail."""

    def __init__(self, fails: int = 0) -> None:
        self.looks = 0
        self.fails = fails
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def before(
        self, topic: str, partition: int, offset: int, messages_max: int, type_name: str = ""
    ) -> Sequence[Message]:
        await asyncio.sleep(0)
        return [Message(id=f"{topic}/{partition}@{offset} {messages_max} {type_name}")]

    async def newest(self, topic: str, messages_max: int, type_name: str = "") -> Sequence[Message]:
        self.looks += 1
        number = self.looks
        await self.may_end.wait()
        if number <= self.fails:
            raise PeerError("the log is away")
        return [Message(id=f"look {number} of {topic} {messages_max} {type_name}")]


async def look(looks: SharedLooks, topic: str = "signals") -> str:
    async with looks.turn() as history:
        await history.before("bars", 0, 7, 5)  # Meanwhile the others begin.
        return (await history.newest(topic, 5, "T"))[0].id


async def test_one_look_serves_all_partitions_that_are_taken_up_at_once() -> None:
    looks = SharedLooks(history := Counted())
    found = await asyncio.gather(*(look(looks) for _ in range(16)))
    assert found == ["look 1 of signals 5 T"] * 16
    assert history.looks == 1


async def test_a_partition_that_comes_later_is_told_what_was_written_since() -> None:
    looks = SharedLooks(history := Counted())
    history.may_end.clear()
    first = asyncio.create_task(look(looks))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert history.looks == 1, "it is under way"
    second = asyncio.create_task(look(looks))
    await asyncio.sleep(0)
    history.may_end.set()
    assert await first == "look 1 of signals 5 T"
    assert await second == "look 2 of signals 5 T"


async def test_nothing_is_kept_behind_the_last_one() -> None:
    looks = SharedLooks(Counted())
    assert await look(looks) == "look 1 of signals 5 T"
    assert await look(looks) == "look 2 of signals 5 T"
    assert not looks._looks


async def test_a_look_that_fails_is_tried_by_the_next() -> None:
    looks = SharedLooks(Counted(fails=1))
    found = await asyncio.gather(*(look(looks) for _ in range(4)), return_exceptions=True)
    assert isinstance(found[0], PeerError)
    assert found[1:] == ["look 2 of signals 5 T"] * 3


async def test_a_few_are_taken_up_at_a_time_and_the_others_wait() -> None:
    looks, inside, may_end = SharedLooks(Counted()), 0, asyncio.Event()

    async def take_up() -> None:
        nonlocal inside
        async with looks.turn():
            inside += 1
            await may_end.wait()

    tasks = [asyncio.create_task(take_up()) for _ in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside == TURNS_MAX
    may_end.set()
    await asyncio.gather(*tasks)
    assert inside == 5


async def test_the_time_of_one_that_waits_for_its_turn_does_not_run() -> None:
    looks, deadlines = SharedLooks(Counted()), []

    async def take_up() -> None:
        async with patience(60):
            current = _CURRENT.get()
            assert current is not None
            deadlines.append(current._timeout)
            async with looks.turn():
                assert current._timeout.when() is not None

    async with looks.turn(), looks.turn():
        waiting = asyncio.create_task(take_up())
        await asyncio.sleep(0)
        assert [deadline.when() for deadline in deadlines] == [None]
    await waiting


async def test_few_looks_are_kept() -> None:
    looks = SharedLooks(Counted())
    async with looks.turn() as history:
        for number in range(LOOKS_MAX + 2):
            await history.newest(f"t{number}", 1)
        assert len(looks._looks) == LOOKS_MAX


async def test_one_partition_is_read_for_itself_and_a_past_that_was_kept_still_answers() -> None:
    looks = SharedLooks(Counted())
    async with looks.turn() as history:
        assert (await history.before("bars", 3, 7, 5, "T"))[0].id == "bars/3@7 5 T"
    with pytest.raises(PeerError):
        await _failing(looks)
    assert (await history.newest("signals", 1))[0].id == "look 1 of signals 1 "
    assert not looks._looks


async def _failing(looks: SharedLooks) -> None:
    async with looks.turn():
        raise PeerError("on_assigned failed")
