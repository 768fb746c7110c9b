"""Whatever is lost, paused or out of step: an id is not at two coordinators for longer than its lease.

Directories of three coordinators against a Redis of plain Python, in steps of 50 ms of true time. Each has a clock of
its own, of another speed, which also jumps; requests get lost on either way, and Redis comes back empty.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.agent.v1.agent_pb2 import Agent
from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.core.registry import Registry
from bellwire.coordinator.core.remotes import Place, RemoteAgents
from bellwire.coordinator.federation.directory import Directory, Found, Renewal

T = TypeVar("T")
TIMES = LeaseTimes(3.0)
STEP = 0.05
TROUBLE_SECONDS = 40.0
CALM_SECONDS = 8.0  # Twice a time to live, and a look.
RATES = (0.75, 1.4)  # Of a coordinator's clock; Redis's has 1.
AGENT_SECONDS = 1e9  # The lease of an agent at its coordinator is another matter.
IDS = ("a", "b", "c", "d")


class Lost(Exception):
    """A request or its answer did not arrive."""


@dataclass
class Redis:
    """What the scripts of `RedisDirectory` do."""

    up: bool = True
    leases: dict[str, tuple[Place, float]] = field(default_factory=dict)
    records: dict[str, tuple[bytes, bytes, float]] = field(default_factory=dict)

    def tick(self, now: float) -> None:
        self.leases = {k: v for k, v in self.leases.items() if now < v[1]}
        self.records = {k: v for k, v in self.records.items() if now < v[2]}

    def claim(self, me: Place, agent_id: str, now: float) -> Place | None:
        holder = self.leases.get(agent_id)
        if holder is not None and holder[0] != me and holder[0].group != me.group:
            return holder[0]
        self.leases[agent_id] = (me, now + TIMES.ttl)
        return None

    def hold(self, me: Place, ids: list[str], now: float) -> list[tuple[str, Place]]:
        lost = []
        for agent_id in ids:
            holder = self.leases.get(agent_id)
            if holder is not None and holder[0] != me:
                lost.append((agent_id, holder[0]))
            else:
                self.leases[agent_id] = (me, now + TIMES.ttl)
        return lost

    def release(self, me: Place, agent_id: str) -> None:
        if agent_id in self.leases and self.leases[agent_id][0] == me:
            del self.leases[agent_id]

    def keep(self, me: Place, renewal: Renewal, now: float) -> bool:
        before = self.records.get(me.id)
        if not renewal.roster and before is None:
            return False
        roster = renewal.roster or (before[1] if before is not None else b"")
        self.records[me.id] = (renewal.head, roster, now + TIMES.ttl)
        return True

    def look(self, now: float) -> list[Found]:
        return [Found(id_, ends - now, head) for id_, (head, _, ends) in self.records.items()]


class Node:
    """A coordinator, as far as the directory goes."""

    def __init__(self, index: int, redis: Redis, random: Random) -> None:
        self.place = Place(f"{index:032x}", f"group-{index}", f"10.0.0.{index}:7400")
        self.redis = redis
        self.random = random
        self.rate = random.uniform(*RATES)
        self.clock = random.uniform(0, 1_000)
        self.loss = 0.0
        self.paused_until = 0.0
        self.failed_at = -100.0
        self.registry = Registry(lease_seconds_default=AGENT_SECONDS, agents_max=100)
        self.remotes = RemoteAgents()
        self.directory = Directory(self.place, self.registry, self.remotes, TIMES, self.clock)
        self.looked_at: dict[str, float] = {}  # By its clock: the latest look that found a record.

    def request(self, true: float, work: Callable[[], T]) -> T:
        """Have Redis do something; either way may be lost."""
        if not self.redis.up or self.random.random() < self.loss:
            self.failed_at = true
            raise Lost
        answer = work()
        if self.random.random() < self.loss:
            self.failed_at = true
            raise Lost
        return answer

    def step(self, true: float) -> None:
        directory, me = self.directory, self.place
        try:
            if directory.begin_renewal(self.clock):
                for agent_id, _ in self.request(
                    true, lambda: self.redis.hold(me, directory.agent_ids(), true)
                ):
                    assert directory.lost(agent_id) is not None
                renewal = directory.renewal(self.clock, int(true * 1e9))
                complete = self.request(true, lambda: self.redis.keep(me, renewal, true))
                directory.renewed(renewal, self.clock, complete=complete)
            if directory.begin_look(self.clock):
                found = self.request(true, lambda: self.redis.look(true))
                wanted = directory.looked(found, self.clock)
                self.looked_at.update({record.id: self.clock for record in found})
                directory.rosters([(id_, self.redis.records[id_][1]) for id_ in wanted])
        except Lost:
            directory.failed(self.clock)
        self.remotes.expire(self.clock)

    def register(self, agent_id: str, true: float) -> None:
        """As `Federation.claimed` does it."""
        if agent_id in self.registry:
            return
        if not self.directory.is_away:
            try:
                if self.request(true, lambda: self.redis.claim(self.place, agent_id, true)):
                    return
            except Lost:
                self.directory.failed(self.clock)
        agent = Agent(agent_id=agent_id)
        self.registry.register(agent, 0, "lease", self.clock, int(true * 1e9))
        self.directory.changed(self.clock)

    def remove(self, agent_id: str, true: float) -> None:
        if agent_id not in self.registry:
            return
        self.registry.remove(self.registry.get(agent_id))
        self.directory.changed(self.clock)
        try:
            self.request(true, lambda: self.redis.release(self.place, agent_id))
        except Lost:
            self.directory.failed(self.clock)

    @property
    def ids(self) -> set[str]:
        return set(self.directory.agent_ids())


class World:
    """Three of them, and what happens."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.redis = Redis()
        self.nodes = [Node(index, self.redis, self.random) for index in range(3)]
        self.now = 0.0
        self.twice_since: defaultdict[str, float | None] = defaultdict(lambda: None)

    def run(self, seconds: float, *, trouble: bool) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            self.redis.tick(self.now)
            if trouble:
                self.happen()
            for node in self.nodes:
                if self.now >= node.paused_until:
                    node.clock += STEP * node.rate
                    node.step(self.now)
            self.check()

    def happen(self) -> None:
        random, node = self.random, self.random.choice(self.nodes)
        draw = random.random()
        if draw < 0.10:
            node.register(random.choice(IDS), self.now)
        elif draw < 0.14:
            node.remove(random.choice(IDS), self.now)
        elif draw < 0.155:
            node.loss = random.choice((0.0, 0.0, 0.2, 1.0))
        elif draw < 0.165:
            node.paused_until = self.now + random.uniform(0.1, 8.0)
            if random.random() < 0.5:  # A process that is stopped, or a machine that is.
                node.clock += (node.paused_until - self.now) * node.rate
        elif draw < 0.17:
            node.clock += random.uniform(0.0, 10.0)
        elif draw < 0.175:
            self.redis.up = not self.redis.up
            self.redis.leases.clear()
            self.redis.records.clear()

    def check(self) -> None:
        for agent_id in IDS:
            live = [node for node in self.nodes if agent_id in node.ids]
            if len(live) < 2 or not self.redis.up:
                self.twice_since[agent_id] = None
                continue
            # From when on all that have it could have heard of it.
            heard = max(max(node.failed_at, node.paused_until) for node in live)
            since = self.twice_since[agent_id]
            since = self.twice_since[agent_id] = max(heard, self.now if since is None else since)
            assert self.now - since <= TIMES.ttl, (agent_id, self.now)
        for node in self.nodes:
            if self.now < node.paused_until:
                continue
            for agent in node.remotes.agents():
                # Believed for no longer than a time to live since it was read.
                assert node.clock - node.looked_at[agent.place.id] < TIMES.ttl

    def settle(self) -> None:
        """End all trouble."""
        self.redis.up = True
        for node in self.nodes:
            node.loss, node.paused_until = 0.0, 0.0
        self.run(CALM_SECONDS, trouble=False)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_an_id_is_at_one_coordinator_and_all_agree_where(seed: int) -> None:
    world = World(seed)
    world.run(TROUBLE_SECONDS, trouble=True)
    world.settle()
    where = {id_: node for node in world.nodes for id_ in node.ids}
    assert sum(len(node.ids) for node in world.nodes) == len(where)
    for node in world.nodes:
        known = {agent.agent.agent_id: agent.place for agent in node.remotes.agents()}
        assert known == {id_: n.place for id_, n in where.items() if n is not node}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_while_nothing_fails_no_id_is_ever_at_two(seed: int) -> None:
    world = World(seed)
    for _ in range(400):
        world.run(STEP, trouble=False)
        node = world.random.choice(world.nodes)
        if world.random.random() < 0.5:
            node.register(world.random.choice(IDS), world.now)
        else:
            node.remove(world.random.choice(IDS), world.now)
        for agent_id in IDS:
            assert sum(agent_id in node.ids for node in world.nodes) <= 1


def test_an_id_that_two_coordinators_tell_of_is_where_it_was_heard_of_last() -> None:
    remotes = RemoteAgents()
    places = [Place(f"{index:032x}", "g", f"10.0.0.{index}:1") for index in range(2)]
    registry = Registry(lease_seconds_default=10, agents_max=10)
    registry.register(Agent(agent_id="a"), 0, "lease", 0.0, 0)
    for place in places:
        loads = [session.told(0.0, 0) for session in registry.sessions()]
        assert remotes.heard(place, 1, loads, 10.0, 0.0)
        remotes.roster(place.id, 1, registry.statuses(0.0, 0))
        found = remotes.get("a")
        assert found is not None
        assert found.place == place
    remotes.only([places[0].id])
    found = remotes.get("a")
    assert found is not None
    assert found.place == places[0]
