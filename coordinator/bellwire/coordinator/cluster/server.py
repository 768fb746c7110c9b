"""A coordinator that is one of a group: it listens all the time, and serves while it is the active one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import grpc

from bellwire.admin.v1 import server_pb2 as pb
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.cache.source import ValueSource
from bellwire.coordinator.cluster.election import Election, LeaseTimes, Role
from bellwire.coordinator.cluster.holder import Holder
from bellwire.coordinator.cluster.member import START_SECONDS, Member
from bellwire.coordinator.cluster.setup import check_advertised, open_lease, open_watch
from bellwire.coordinator.cluster.standby import not_owner, standby_handlers
from bellwire.coordinator.cluster.switch import RoleSwitch
from bellwire.coordinator.cluster.term import Term
from bellwire.coordinator.cluster.topic_groups import TopicGroups
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.core.remotes import Place
from bellwire.coordinator.server import Coordinator
from bellwire.coordinator.services.catalog import SERVICES, servicers_of
from bellwire.coordinator.state import CoordinatorState
from bellwire.coordinator.stores import kafka_store, open_state
from bellwire.transport.serving.handlers import service_handler
from bellwire.wire.errors import BellwireError, NotOwnerError, StoreUnavailableError

if TYPE_CHECKING:
    from bellwire.coordinator.cluster.group_watch import GroupWatch
    from bellwire.coordinator.federation.federation import Federation
    from bellwire.coordinator.log.kafka import KafkaStore

__all__ = ["ClusterCoordinator"]

FEDERATION: Final = "bellwire.coordinator.federation.federation"
# Served while the lease has run out, too: whoever asks wants to know just that.
_UNGUARDED: Final = "ServerService"
STRAYS_NAMED_MAX: Final = 10
_ROLES: Final = {
    Role.STANDBY: pb.CLUSTER_ROLE_STANDBY,
    Role.OPENING: pb.CLUSTER_ROLE_OPENING,
    Role.ACTIVE: pb.CLUSTER_ROLE_ACTIVE,
    Role.LEFT: pb.CLUSTER_ROLE_STANDBY,
}
_log = logging.getLogger("bellwire.coordinator")


class ClusterCoordinator(Coordinator):
    """A running coordinator of a group, standby or active.

    Args:
        settings: With `redis` and `kafka`.
        cache: Of the cache.
        source: Third level of the cache.
        on_role: Told of every change of role or owner: the role, and the owner's address or "".
        start_seconds: How long Redis is waited for at the start.

    Attributes:
        groups: Which group each topic belongs to.
        failure: Why it takes no part in the group any more; None = it does.
    """

    def __init__(
        self,
        settings: CoordinatorSettings,
        cache: CacheSettings | None = None,
        source: ValueSource | None = None,
        *,
        on_role: Callable[[Role, str], None] | None = None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        super().__init__(settings, cache, source)
        self.failure: BellwireError | None = None
        self.failed = asyncio.Event()
        self.group = settings.group or settings.state_topic
        self.groups = TopicGroups(self.group, settings.group_topics)
        self._on_role = on_role
        self._start_seconds = start_seconds
        self._said: tuple[Role, str] | None = None
        self._started_ns = self._role_since_ns = time.time_ns()
        self._standby = standby_handlers(
            self._started_ns, lambda: self.addresses, self.describe, self._refusal
        )
        self._switch = RoleSwitch(self._standby)
        self._term: Term | None = None
        self._member: Member | None = None
        self._election: Election | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._store: KafkaStore | None = None
        self._watch: GroupWatch | None = None
        self._strays: list[str] = []
        self._advertised = settings.advertise
        check_advertised(settings)

    @property
    def role(self) -> Role:
        """What it is in its group."""
        return self._election.role if self._election is not None else Role.STANDBY

    def describe(self) -> pb.ClusterInfo:
        """Return what it is in its group, as GetServerInfo tells it."""
        election = self._election
        owner = election.owner if election is not None else None
        federation = self._state.federation if self._state is not None else None
        return pb.ClusterInfo(
            group=self.group,
            role=_ROLES[self.role],
            advertised=self._advertised,
            owner=owner.address if owner is not None else "",
            owner_since_unix_nano=owner.since_ns if owner is not None else 0,
            role_since_unix_nano=self._role_since_ns,
            lease_service_away=election is not None and election.is_failing,
            take_over_millis=self._member.take_over_millis if self._member is not None else 0,
            groups=[
                pb.TopicGroup(
                    group=row.name,
                    topics=row.topics,
                    owner=row.owner.address if row.owner is not None else "",
                    owner_since_unix_nano=row.owner.since_ns if row.owner is not None else 0,
                )
                for row in self.groups.rows()
            ],
            agent_directory_away=federation is not None and federation.is_away,
            agent_directory_faults=federation.faults if federation is not None else 0,
        )

    # ------------------------------------------------------------ start and stop

    async def _prepare(self) -> list[grpc.GenericRpcHandler]:
        """Serve as a standby: the store is opened by whoever gets the lease."""
        return [self._switch]

    async def _begin(self) -> None:
        """Take part in the group, now that the addresses are bound.

        Raises:
            LeaseUnavailableError, LeaseRefusedError, LeaseValueError, GroupRecordError, SettingsError
            KafkaRefusedError, KafkaVersionError
            TopicsTakenError: Another group has topics of ours.
        """
        self._advertised = self._advertised or self.addresses[0]
        await self._check_kafka()
        if self.settings.agent_directory:
            import_module(FEDERATION)
        me = Holder(self._advertised, uuid4().hex, time.time_ns())
        times = LeaseTimes(self.settings.group_lease_seconds)
        self._election = Election(me, times, time.monotonic())
        await self._set_health(serving=False)
        self._watch = open_watch(
            self.settings,
            self.groups,
            is_active=lambda: self.role is Role.ACTIVE,
            on_change=self._shared,
        )
        await self._watch.begin(self._start_seconds)
        self._member = Member(
            self._election, open_lease(self.settings, self.group, me, times), self
        )
        await self._member.reach(self._start_seconds)
        self._running = asyncio.create_task(self._member.run(), name="group")
        self._running.add_done_callback(self._ended)

    async def _check_kafka(self) -> None:
        """Refuse now what a take-over would meet; a Kafka that is away may be back by then.

        What that imports is imported now, too.
        """
        store = kafka_store(self.settings)
        try:
            await asyncio.get_running_loop().run_in_executor(None, store.check)
        except StoreUnavailableError as error:
            _log.warning("%s", error.message)
        finally:
            store.close()

    def _ended(self, running: asyncio.Task[None]) -> None:
        if running.cancelled():
            return
        error = running.exception()
        if error is None:
            return
        if not isinstance(error, BellwireError):
            _log.error("the group's task ended", exc_info=error)
            error = BellwireError(f"a fault of our own: {error!r}")
        self.failure = error
        self.failed.set()

    async def _stop(self, grace_seconds: float) -> None:
        member = self._member
        if self._watch is not None:
            self._watch.leave()
        if member is not None:
            await member.hold()
        await super()._stop(grace_seconds)
        if member is not None:
            await member.leave()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        if self._watch is not None:
            await self._watch.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    # ------------------------------------------------------------ the member's house

    async def open(self, may_write: Callable[[], bool]) -> None:
        """Declare our topics, and open the store, which fences whoever had it."""
        assert self._watch is not None
        await self._watch.declare()
        store = kafka_store(self.settings)
        store.only_while(may_write)
        try:
            state = await open_state(self.settings, store, self._cache, self._source)
        except BaseException:
            store.close()
            raise
        state.addresses = self.addresses
        state.cluster = self.describe
        assert self._member is not None
        state.committer.on_broken = self._member.broken
        self._store, self._state = store, state
        self._shared()

    async def serve(self) -> None:
        """Serve what was opened."""
        state = self._state
        assert state is not None
        self.told()
        term = self._term = Term(self._check_time)
        if self.settings.agent_directory:
            state.join(self._federation(state))
        servicers = servicers_of(state)
        self._switch.turn(
            service_handler(servicers[name], service, None if name == _UNGUARDED else term.guard)
            for name, service in SERVICES.items()
        )
        self._set_direct(state)
        await self._set_health(serving=True)

    def _federation(self, state: CoordinatorState) -> Federation:
        """Return this coordinator's place among other groups'."""
        # Only here: who stands alone need not load it.
        from bellwire.coordinator.federation.federation import open_federation

        return open_federation(state, Place(uuid4().hex, self.group, self._advertised))

    async def shut(self) -> None:
        """Serve no more, and let go of what was opened: the rest of it is closed while others go on."""
        self._switch.turn(self._standby)
        self._set_direct(None)
        await self._set_health(serving=False)
        term, state, store = self._term, self._state, self._store
        self._term = self._state = self._store = None
        if store is not None:
            store.only_while(
                _never
            )  # The lease may be ours again before the last of its writes has ended.
        if term is not None:
            await term.end(self._refusal())
        if state is not None:
            state.committer.on_broken = _nothing  # Of this one; the next may be open by then.
            state.store.give_up()
            closing = asyncio.create_task(_closed(state), name="close the store")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def prove(self) -> None:
        """Have the store commit."""
        state, store = self._state, self._store
        if state is not None and store is not None:
            await state.committer.in_turn(store.prove)

    def told(self) -> None:
        """Move the bound of the engine, and tell of a change."""
        election = self._election
        assert election is not None
        if self._state is not None:
            self._state.engine.serve_until = election.serve_until
        self.groups.note_owner(election.owner)
        owner = election.owner.address if election.owner is not None else ""
        said = (election.role, owner)
        if said == self._said:
            return
        if self._said is None or self._said[0] is not election.role:
            self._role_since_ns = time.time_ns()
        self._said = said
        if self._on_role is not None:
            self._on_role(*said)

    def _shared(self) -> None:
        """Serve the topics of this group only."""
        if self._state is None:
            return
        strays = self._state.engine.share(self.groups)
        if strays and strays != self._strays:
            _log.warning(
                "group %r holds messages of topics that are not its own (%d, among them %s): they are kept, but nobody "
                "can ask for them here; give them back to it by `coordinator.group_topics` to read them",
                self.group,
                len(strays),
                ", ".join(strays[:STRAYS_NAMED_MAX]),
            )
        self._strays = strays

    # ------------------------------------------------------------ refusals

    def _refusal(self) -> NotOwnerError:
        owner = self._election.owner if self._election is not None else None
        address = owner.address if owner is not None else ""
        return not_owner(address, self._advertised, self.group)

    def _check_time(self) -> None:
        """Refuse an RPC when the lease was not renewed in time."""
        election = self._election
        if election is None or not election.may_serve(time.monotonic()):
            raise self._refusal()


def _never() -> bool:
    """What is let go of takes over from nobody."""
    return False


def _nothing() -> None:
    """Nobody asks any more."""


async def _closed(state: CoordinatorState) -> None:
    try:
        await state.close()
    except BellwireError as error:
        _log.warning("the store was not closed properly: %s", error.message)
