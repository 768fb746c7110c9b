"""A coordinator's place among others: keeps the directory, takes the ids of its agents, and passes calls on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.core.fleet import Fleet
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.remotes import Place, RemoteAgents
from bellwire.coordinator.core.routing import Router
from bellwire.coordinator.federation.directory import Directory, held_elsewhere
from bellwire.coordinator.federation.errors import DirectoryFullError, DirectoryUnavailableError
from bellwire.coordinator.federation.forwarding import Forwarder
from bellwire.coordinator.federation.peers import PeerChannels
from bellwire.coordinator.federation.record import RecordError
from bellwire.coordinator.federation.redis_directory import RedisDirectory
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import BellwireError

if TYPE_CHECKING:
    from bellwire.coordinator.state import CoordinatorState

__all__ = ["Federation", "open_federation"]

LISTEN_AGAIN_SECONDS: Final = (0.1, 1.0)  # First and longest bound of the pause between two tries.
AWAY: Final = "Redis"
CANCEL_AGAIN_SECONDS: Final = 0.1
RELEASES_MAX: Final = 10_000  # Ids to be given back while Redis is slow; more end by themselves.
_log = logging.getLogger("bellwire.coordinator")


class Federation:
    """Everything that one active coordinator has to do with others.

    Args:
        registry: Agents connected here.
        router: Chooses among them.
        store: Where the directory is kept.
        place: This coordinator.
        times: Of leases and records.

    Attributes:
        place: This coordinator.
        fleet: All agents that can be called from here.
        forwarder: Passes calls on.
        faults: Of our own, while the directory was kept; each is logged, and the next turn comes.
    """

    def __init__(
        self,
        registry: Registry,
        router: Router,
        store: RedisDirectory,
        place: Place,
        times: LeaseTimes,
    ) -> None:
        self.place = place
        self.faults = 0
        self._registry = registry
        self._store = store
        self._times = times
        self._remotes = remotes = RemoteAgents()
        self._peers = PeerChannels()
        self.fleet = Fleet(registry, router, remotes, place.address)
        self.forwarder = Forwarder(remotes, self._peers, times.ttl)
        self._directory = Directory(place, registry, remotes, times, time.monotonic())
        # One request at a time: a lease is never given back after it was taken anew.
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._ends: dict[AgentSession, Callable[[BellwireError], None]] = {}
        self._claiming: dict[str, int] = {}
        self._to_release: dict[str, None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._troubles: dict[str, str] = {}
        self._closed = False

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer the latest request."""
        return self._directory.is_away

    def start(self) -> None:
        """Begin to tell and to listen."""
        self._tasks = [
            asyncio.create_task(self._keep(), name="keep the directory of agents"),
            asyncio.create_task(self._listen(), name="listen to the directory of agents"),
        ]

    async def close(self) -> None:
        """Take our record and our ids back, and close all connections; a Redis that is away is not waited for."""
        if self._closed:
            return
        self._closed = True
        await _cancelled(self._tasks)
        if self._tasks and not self._directory.is_away:
            with suppress(DirectoryUnavailableError):
                await self._store.leave([*self._directory.agent_ids(), *self._to_release])
        await self._store.close()
        await self._peers.close()

    # ------------------------------------------------------------ our agents

    @asynccontextmanager
    async def claimed(self, agent_id: str) -> AsyncIterator[None]:
        """Take the lease of an agent's id for the block in which it is registered.

        While Redis is away nothing is taken: whether another coordinator has the id is found out afterwards.

        Raises:
            AgentExistsError: An agent of that id is connected to another coordinator.
        """
        self._claiming[agent_id] = self._claiming.get(agent_id, 0) + 1
        try:
            await self._claim(agent_id)
            yield
        finally:
            self._claiming[agent_id] -= 1
            if not self._claiming[agent_id]:
                del self._claiming[agent_id]
            if agent_id not in self._registry:
                self._give_back(agent_id)

    def joined(self, session: AgentSession, end: Callable[[BellwireError], None]) -> None:
        """Tell of an agent that has registered.

        Args:
            session: Its session.
            end: Ends its stream with an error.
        """
        self._ends[session] = end
        self.changed()

    def left(self, session: AgentSession) -> None:
        """Tell of an agent that has gone, and give its id back."""
        self._ends.pop(session, None)
        self._give_back(session.agent.agent_id)
        self.changed()

    def changed(self) -> None:
        """Have the others told soon what has changed."""
        self._directory.changed(time.monotonic())
        self._wake.set()

    async def _claim(self, agent_id: str) -> None:
        if self._directory.is_away:
            return  # The keeper asks once in a while; an agent need not wait for it.
        async with self._turn:
            holder = await self._holder(agent_id)
        if holder is not None:
            raise held_elsewhere(agent_id, holder)

    async def _holder(self, agent_id: str) -> Place | None:
        """Take an id, and return who else has it; None = nobody, as far as Redis says."""
        if self._directory.is_away:
            return None
        try:
            return await self._store.claim(agent_id)
        except DirectoryUnavailableError as error:
            self._failed(error)
            return None

    def _give_back(self, agent_id: str) -> None:
        if len(self._to_release) < RELEASES_MAX:
            self._to_release[agent_id] = None
            self._directory.changed(time.monotonic())
            self._wake.set()

    # ------------------------------------------------------------ the directory

    async def _keep(self) -> None:
        """Tell and look, each when it is due."""
        while True:
            self._wake.clear()
            try:
                await self._tell_and_look()
            except Exception:  # noqa: BLE001 - without us our record would end, and all would lose our agents
                self._fault("kept")
                # Less than a renewal: what is due beside the one that failed has its turn.
                await asyncio.sleep(self._times.poll)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._directory.due_at - time.monotonic())):
                    await self._wake.wait()

    async def _tell_and_look(self) -> None:
        async with self._turn:
            if self._directory.begin_renewal(time.monotonic()):
                await self._try("our record", self._renew)
            if self._directory.begin_look(time.monotonic()):
                await self._try("the records of others", self._look)
        self._remotes.expire(time.monotonic())
        self._peers.close_idle(time.monotonic())

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except DirectoryUnavailableError as error:
            self._failed(error)
        except (DirectoryFullError, RecordError) as error:
            self._say(what, error.message)
        else:
            self._say(AWAY, "")
            self._say(what, "")

    async def _renew(self) -> None:
        directory, store = self._directory, self._store
        await self._release()
        for agent_id, holder in await store.hold(directory.agent_ids()):
            session = directory.lost(agent_id)
            end = self._ends.pop(session, None) if session is not None else None
            if end is not None:
                _log.warning(
                    "agent %r is connected to %s, too, which has its id: it is cut off here",
                    agent_id,
                    holder.address,
                )
                end(held_elsewhere(agent_id, holder))
        renewal = directory.renewal(time.monotonic(), time.time_ns())
        complete = await store.keep(renewal)
        directory.renewed(renewal, time.monotonic(), complete=complete)

    async def _release(self) -> None:
        """Give back the ids of agents that have gone, unless they are coming back."""
        ids = [
            agent_id
            for agent_id in self._to_release
            if agent_id not in self._registry and agent_id not in self._claiming
        ]
        self._to_release.clear()
        if ids:
            await self._store.release(ids)

    async def _look(self) -> None:
        directory, store = self._directory, self._store
        asked_at = time.monotonic()
        wanted = directory.looked(await store.look(), asked_at)
        if wanted:
            directory.rosters(await store.rosters(wanted))

    async def _listen(self) -> None:
        """Hear of what others tell, for as long as Redis lets us; without it they are looked at in turn."""
        pauses = Backoff(*LISTEN_AGAIN_SECONDS)

        def on_news(who: str) -> None:
            pauses.reset()
            if who != self.place.id:
                self._directory.others_changed(time.monotonic())
                self._wake.set()

        while True:
            try:
                await self._store.listen(on_news)
            except DirectoryUnavailableError:
                pass  # The keeper says so.
            except Exception:  # noqa: BLE001 - who listens no more hears of changes a renewal late
                self._fault("listened to")
            await asyncio.sleep(pauses.next_delay())

    def _failed(self, error: DirectoryUnavailableError) -> None:
        self._directory.failed(time.monotonic())
        self._say(
            AWAY,
            f"{error.message}; agents and calls of this coordinator go on, ids of agents are not checked, and agents "
            "of others are known until their records end",
        )

    def _fault(self, doing: str) -> None:
        self.faults += 1
        _log.exception("a fault of our own while the directory of agents was %s: it goes on", doing)

    def _say(self, what: str, trouble: str) -> None:
        """Log once that something is wrong, and once that all is right again."""
        if not trouble:
            if self._troubles.pop(what, "") and not self._troubles:
                _log.warning("the directory of agents at %s is in order", self._store.where)
        elif what not in self._troubles:
            self._troubles[what] = trouble
            _log.warning("%s", trouble)


def open_federation(state: CoordinatorState, place: Place) -> Federation:
    """Return the place of a coordinator that has become active among others; `start` is left to do."""
    settings = state.settings
    times = LeaseTimes(settings.group_lease_seconds)
    store = RedisDirectory(settings.redis, settings.agent_directory, place, times.ttl)
    return Federation(state.registry, state.router, store, place, times)


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: `asyncio.wait_for` of Python 3.11, which redis-py uses, may lose one."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
