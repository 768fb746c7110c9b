"""A member of a group, with a lease and a house that do as they are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from bellwire.coordinator.cluster.election import Answer, Election, LeaseTimes, Role
from bellwire.coordinator.cluster.errors import LeaseUnavailableError
from bellwire.coordinator.cluster.holder import Holder
from bellwire.coordinator.cluster.member import Member
from bellwire.wire.errors import StoreReadOnlyError

RENEWALS = 2  # The first one ends with whatever was left of the term before.
ME, OTHER = Holder("here:1", "me", 1), Holder("there:1", "other", 1)


class Lease:
    where = "nowhere"

    def __init__(self) -> None:
        self.holder: Holder | None = ME
        self.away = False
        self.asked = 0

    async def ask(self, *, take: bool) -> Answer:
        self.asked += 1
        if self.away:
            raise LeaseUnavailableError("away")
        return Answer(self.holder, left_seconds=0.05)

    async def release(self) -> None:
        pass

    async def close(self) -> None:
        pass


class House:
    def __init__(self) -> None:
        self.serving = False
        self.proof: asyncio.Future[None] | None = None
        self.has_proved = False

    async def open(self, may_write: Callable[[], bool]) -> None:
        pass

    async def serve(self) -> None:
        self.serving = True

    async def shut(self) -> None:
        self.serving = False

    async def prove(self) -> None:
        self.proof = asyncio.get_running_loop().create_future()
        try:
            await self.proof
        finally:
            self.has_proved = True

    def told(self) -> None:
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2.0):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_a_proof_that_fails_after_its_store_was_let_go_of_does_not_end_the_next_term() -> (
    None
):
    lease, house = Lease(), House()
    election = Election(ME, LeaseTimes(0.3), time.monotonic())
    member = Member(election, lease, house)
    running = asyncio.create_task(member.run())
    try:
        await until(lambda: house.serving)
        lease.away = True  # Kafka too: the proof stays under way.
        await until(lambda: house.proof is not None)
        lease.away, lease.holder = False, OTHER  # The network is back, and somebody else is active.
        await until(lambda: not house.serving and election.role is Role.STANDBY)
        assert house.proof is not None
        house.proof.set_exception(StoreReadOnlyError("the store was closed while it waited"))
        await until(lambda: house.has_proved)
        lease.holder = ME  # The other one has gone.
        await until(lambda: election.role is Role.ACTIVE)
        asked = lease.asked
        await until(lambda: lease.asked >= asked + RENEWALS)
        assert house.serving
    finally:
        await member.leave()
        await asyncio.gather(running, return_exceptions=True)
