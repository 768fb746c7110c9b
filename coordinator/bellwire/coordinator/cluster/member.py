"""A member of a group: asks for the lease, opens the store when it has it, and steps down when it has not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from bellwire.coordinator.cluster.election import Answer, Election, Role
from bellwire.coordinator.cluster.errors import (
    LeaseRefusedError,
    LeaseUnavailableError,
    StoreContestedError,
    TopicsTakenError,
)
from bellwire.coordinator.cluster.holder import LeaseValueError
from bellwire.coordinator.cluster.patience import patiently
from bellwire.wire.errors import (
    BellwireError,
    DataCorruptError,
    InternalError,
    SchemaVersionError,
    StoreReadOnlyError,
)

__all__ = ["START_SECONDS", "House", "Lease", "Member"]

START_SECONDS: Final = (
    30.0  # How long Redis is waited for at the start, as the bridge waits for Kafka.
)
_HOPELESS: Final = (SchemaVersionError, DataCorruptError, TopicsTakenError)
_UNANSWERED: Final = (LeaseUnavailableError, LeaseRefusedError, LeaseValueError)
_log = logging.getLogger("bellwire.coordinator")


class Lease(Protocol):
    """Where the lease is kept; `RedisLease` is one.

    Attributes:
        where: Its address, for people.
    """

    where: str

    async def ask(self, *, take: bool) -> Answer:
        """Renew the lease, take it if it is free and may be taken, and tell who has it."""
        ...

    async def release(self) -> None:
        """Give it back if it is ours."""

    async def close(self) -> None:
        """Close connections."""


class House(Protocol):
    """What a member opens and closes: the coordinator's store and services."""

    async def open(self, may_write: Callable[[], bool]) -> None:
        """Open the store; raises what that does."""

    async def serve(self) -> None:
        """Serve what was opened."""

    async def shut(self) -> None:
        """Serve no more, and let go of what was opened."""

    async def prove(self) -> None:
        """Have the store commit; raises StoreReadOnlyError when somebody has taken over."""

    def told(self) -> None:
        """Take note that the role, the owner or the time to serve may have changed."""


class Member:
    """Runs an election against Redis and a house.

    Attributes:
        take_over_millis: How long the latest take-over took, from the lease to serving; 0 = there was none.
    """

    def __init__(self, election: Election, lease: Lease, house: House) -> None:
        self.election = election
        self.take_over_millis = 0
        self._lease = lease
        self._house = house
        self._wake = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._proving: asyncio.Task[None] | None = None
        self._is_open = False
        self._is_serving = False
        self._is_stale = False
        self._terms = 0  # Counts what was shut.
        self._is_held = False
        self._proof_at = 0.0
        self._taken_at = 0.0
        self._failure: BellwireError | None = None

    async def reach(self, seconds: float = START_SECONDS) -> None:
        """Ask Redis for the first time.

        Raises:
            LeaseUnavailableError: It did not answer within so many seconds.
            LeaseRefusedError, LeaseValueError: It cannot keep the lease.
        """
        await patiently(self._reach_once, seconds)

    async def _reach_once(self) -> None:
        sent_at = time.monotonic()
        try:
            answer = await self._lease.ask(take=self.election.may_take(sent_at))
        except LeaseUnavailableError:
            self.election.failed(time.monotonic())
            raise
        self._heard(answer, sent_at)

    async def run(self) -> None:
        """Take part until `leave`.

        Raises:
            StoreContestedError: Somebody outside the group writes to its store.
            TopicsTakenError: Another group has topics of ours.
            BellwireError: What the store holds cannot be used by this version.
        """
        try:
            while self.election.role is not Role.LEFT:
                self._wake.clear()
                if time.monotonic() >= self.election.ask_at():
                    await self._ask()
                await self._act()
                self._house.told()
                if self._failure is not None:
                    raise self._failure
                await self._pause()
        finally:
            await self._settled(self._opening, self._proving)

    def broken(self) -> None:
        """Take note that the store takes nothing any more: somebody else has opened it."""
        _log.warning("another coordinator has opened the store: this one serves no more")
        self._is_stale = True
        self.election.fenced(time.monotonic())
        self._wake.set()

    async def hold(self) -> None:
        """Renew only, from now on: the coordinator is stopping."""
        self._is_held = True
        await self._settled(self._opening)

    async def leave(self) -> None:
        """Give the lease back, and stop."""
        was_holder = self.election.is_holder
        self.election.leave()
        self._wake.set()
        if was_holder:
            await self._give_back()
        await self._lease.close()

    # ------------------------------------------------------------ the lease

    async def _ask(self) -> None:
        election = self.election
        was_failing = election.is_failing
        sent_at = time.monotonic()
        try:
            answer = await self._lease.ask(take=not self._is_held and election.may_take(sent_at))
        except _UNANSWERED as error:
            election.failed(time.monotonic())
            if not was_failing:
                _log.warning("%s; %s", error.message, self._meanwhile())
        else:
            if was_failing:
                _log.warning("Redis at %s answers again", self._lease.where)
            self._heard(answer, sent_at)

    def _heard(self, answer: Answer, sent_at: float) -> None:
        was_holder = self.election.is_holder
        self.election.answered(answer, sent_at, time.monotonic())
        if self.election.is_holder and not was_holder:
            self._taken_at = time.monotonic()

    def _meanwhile(self) -> str:
        if self.election.role is Role.ACTIVE:
            return "serving on as long as the store proves that nobody has taken over"
        return "nobody can take over until it answers"

    # ------------------------------------------------------------ the house

    async def _act(self) -> None:
        election = self.election
        role = election.role
        if self._is_open and (self._is_stale or role is Role.STANDBY) and not self._is_held:
            self._is_open = self._is_serving = self._is_stale = False
            self._terms += 1
            await self._house.shut()
        if self._is_held:
            return
        if election.is_contested:
            raise StoreContestedError(
                "another coordinator has opened the store again and again without holding the lease of this "
                "group: give it the same Redis and the same `coordinator.group`, or a state topic of its own"
            )
        now = time.monotonic()
        open_at = election.open_at()
        if open_at is not None and now >= open_at and self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="take over")
        if role is Role.ACTIVE and self._is_open and not self._is_serving:
            self._is_serving = True
            await self._house.serve()
            self.take_over_millis = round((time.monotonic() - self._taken_at) * 1_000)
        if election.wants_proof() and self._proving is None and now >= self._proof_at:
            self._proof_at = now + election.times.renew
            self._proving = asyncio.create_task(self._prove(), name="prove")

    async def _open(self) -> None:
        election = self.election
        try:
            await self._house.open(lambda: election.may_write(time.monotonic()))
        except _HOPELESS as error:
            self._failure = error
        except BellwireError as error:
            _log.warning("the store could not be opened: %s", error.message)
            if election.not_opened(time.monotonic()):
                await self._give_back()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be tried for ever
            _log.exception("a fault of our own while the store was opened")
            self._failure = InternalError(f"the store could not be opened: {error!r}")
        else:
            self._is_open = True
            election.opened(time.monotonic())
        finally:
            self._opening = None
            self._wake.set()

    async def _give_back(self) -> None:
        try:
            await self._lease.release()
        except _UNANSWERED as error:
            _log.warning("the lease ends by itself: %s", error.message)

    async def _prove(self) -> None:
        sent_at, term = time.monotonic(), self._terms
        try:
            await self._house.prove()
        except StoreReadOnlyError:
            if term == self._terms:  # Else it tells of a store that was let go of since.
                self.broken()
        except BellwireError as error:
            _log.warning("the store proves nothing: %s", error.message)
        else:
            if term == self._terms:
                self.election.proved(sent_at, time.monotonic())
        finally:
            self._proving = None
            self._wake.set()

    # ------------------------------------------------------------ time

    async def _pause(self) -> None:
        """Wait until something is due, or has happened."""
        election = self.election
        due = [election.ask_at()]
        open_at = election.open_at()
        if open_at is not None and self._opening is None and not self._is_held:
            due.append(open_at)
        if election.wants_proof() and self._proving is None:
            due.append(self._proof_at)
        try:
            async with asyncio.timeout(max(0.0, min(due) - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _settled(self, *tasks: Awaitable[None] | None) -> None:
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
