"""One coordinator's part in the directory of agents: time and answers in, what to write out. No I/O.

1. Who wants to register an agent takes the lease of its id first. It is one key in Redis, so that one coordinator has
   it; the one that is active after another in the same group takes its ids over at once, others when they have ended.
2. Each third of a time to live, and at once when agents come or go, a coordinator renews the leases of its agents and
   then its record. A lease that has ended is taken again; one that somebody else has by then is lost, and so is the
   agent: its stream ends before the record is written.
3. As often, and whenever another one tells of a change, it reads the records of the others. What they told is believed
   until their record would have ended, counted from when it was asked for.

So while Redis answers, an id that was lost is live at two coordinators for one renewal at most, and in what any of them
finds it is at one. While Redis is away nobody can tell: agents register unchecked, and it is found out afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final, NamedTuple

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.remotes import Place, RemoteAgents
from bellwire.coordinator.federation.record import (
    RecordError,
    decode_record,
    encode_head,
    encode_roster,
)
from bellwire.wire.errors import AgentExistsError

__all__ = ["CHANGE_SECONDS", "Directory", "Found", "Renewal", "held_elsewhere"]

CHANGE_SECONDS: Final = 0.02  # Changes closer together are told together.


class Renewal(NamedTuple):
    """What is to be written.

    Attributes:
        head: Of our record.
        roster: Of our record; empty = it stands there as it is.
        revision: Of the roster.
        announce: Whether the others are to be told.
    """

    head: bytes
    roster: bytes
    revision: int
    announce: bool


class Found(NamedTuple):
    """A record of another coordinator.

    Attributes:
        id: Whose.
        left_seconds: Until it ends unless renewed.
        head: As it stands there.
    """

    id: str
    left_seconds: float
    head: bytes


class Directory:
    """What a coordinator tells and knows.

    Args:
        place: This coordinator.
        registry: Agents connected to it.
        remotes: Agents of others; kept up to date.
        times: Of leases and records.
        now: Monotonic seconds.

    Attributes:
        is_away: Whether Redis did not answer the latest request.
        left_out: Agents of ours of which the others are not told, for want of room in our record.
    """

    def __init__(
        self, place: Place, registry: Registry, remotes: RemoteAgents, times: LeaseTimes, now: float
    ) -> None:
        self.place = place
        self.times = times
        self.is_away = False
        self.left_out = 0
        self._registry = registry
        self._remotes = remotes
        self._renew_at = self._look_at = now
        self._renewed_at = self._looked_at = -inf
        self._written: int | None = None  # Revision of the roster that stands in Redis.
        self._has_news = True

    # ------------------------------------------------------------ when

    @property
    def due_at(self) -> float:
        """When there is something to do next."""
        return min(self._renew_at, self._look_at)

    def begin_renewal(self, now: float) -> bool:
        """Tell whether leases and record are to be renewed now; they are due again later, whatever comes of it."""
        if now < self._renew_at:
            return False
        self._renewed_at, self._renew_at = now, now + self.times.renew
        return True

    def begin_look(self, now: float) -> bool:
        """Tell whether the records of others are to be read now; they are due again later, whatever comes of it."""
        if now < self._look_at:
            return False
        self._looked_at, self._look_at = now, now + self.times.renew
        return True

    def changed(self, now: float) -> None:
        """Take note that agents have come, gone, or take no calls any more."""
        self._has_news = True
        self._renew_at = min(self._renew_at, max(now, self._renewed_at + CHANGE_SECONDS))

    def others_changed(self, now: float) -> None:
        """Take note that another coordinator has told of a change."""
        self._look_at = min(self._look_at, max(now, self._looked_at + CHANGE_SECONDS))

    def failed(self, now: float) -> None:
        """Take note that Redis did not answer."""
        self.is_away = self._has_news = True
        self._renew_at = self._look_at = now + self.times.renew

    # ------------------------------------------------------------ what we tell

    def agent_ids(self) -> list[str]:
        """Return the ids whose leases are to be renewed."""
        return [session.agent.agent_id for session in self._registry.sessions()]

    def lost(self, agent_id: str) -> AgentSession | None:
        """Take out an agent whose id another coordinator has; None = it is gone already."""
        if agent_id not in self._registry:
            return None
        session = self._registry.get(agent_id)
        self._registry.remove(session)
        return session

    def renewal(self, now: float, now_ns: int) -> Renewal:
        """Return what to write."""
        revision = self._registry.revision
        sessions = sorted(self._registry.sessions(), key=lambda session: session.agent.agent_id)
        loads = (session.told(now, now_ns) for session in sessions)
        head = encode_head(self.place, revision, loads)
        roster = b""
        if revision != self._written:
            statuses = self._registry.statuses(now, now_ns)
            roster, self.left_out = encode_roster(self.place, revision, statuses)
        announce, self._has_news = self._has_news, False
        return Renewal(head, roster, revision, announce)

    def renewed(self, renewal: Renewal, now: float, *, complete: bool) -> None:
        """Take note that Redis has taken it; not complete = it had lost the roster, and took nothing."""
        self.is_away = False
        if complete:
            self._written = renewal.revision
        else:
            self._written = None
            self._has_news = True
            self._renew_at = now

    # ------------------------------------------------------------ what others tell

    def looked(self, found: Iterable[Found], asked_at: float) -> list[str]:
        """Take the heads of all records; return the ids of those whose roster is wanted.

        Args:
            found: What stands in Redis, ours perhaps among it.
            asked_at: When it was asked for: what was left of each is counted from then.

        Raises:
            RecordError: The last one of those that cannot be read; all others were taken.
        """
        self.is_away = False
        unread: RecordError | None = None
        wanted = []
        seen = set()
        for id_, left_seconds, head in found:
            if id_ == self.place.id:
                continue
            try:
                place, revision, loads = decode_record(head, id_)
            except RecordError as error:
                unread = error
                continue
            seen.add(id_)
            # Never longer than a time to live, whatever stands there.
            expires = asked_at + min(left_seconds, self.times.ttl)
            if self._remotes.heard(place, revision, loads, expires, asked_at):
                wanted.append(id_)
        self._remotes.only(seen)
        if unread is not None:
            raise unread
        return wanted

    def rosters(self, found: Sequence[tuple[str, bytes]]) -> None:
        """Take the rosters that were wanted; one that is not there any more is looked for again.

        Raises:
            RecordError: The last one of those that cannot be read; all others were taken.
        """
        unread: RecordError | None = None
        for id_, data in found:
            if not data:
                continue
            try:
                _, revision, registered = decode_record(data, id_)
            except RecordError as error:
                unread = error
                continue
            self._remotes.roster(id_, revision, registered)
        if unread is not None:
            raise unread


def held_elsewhere(agent_id: str, holder: Place) -> AgentExistsError:
    """Return the refusal of an agent whose id is connected to another coordinator."""
    return AgentExistsError(
        f"agent {agent_id!r} runs already, it is connected to {holder.address} (group {holder.group!r}): for more of "
        "it say --replicas where it was started, or give each its own agent_id",
        metadata={"agent_id": agent_id, "coordinator": holder.address, "group": holder.group},
    )
