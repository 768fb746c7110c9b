"""bellwire.coordinator.core.fleet and remotes: agents here and elsewhere, and which of them gets a call."""

from __future__ import annotations

from typing import Any

import pytest

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_TOOL,
    Agent,
    AgentStatus,
    Capability,
    LoadReport,
)
from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_PINNED,
    ROUTING_POLICY_ROUND_ROBIN,
    ROUTING_POLICY_STICKY,
    Routing,
)
from bellwire.coordinator.core.fleet import Fleet
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.remotes import Place, RemoteAgents
from bellwire.coordinator.core.routing import Router
from bellwire.wire.errors import AgentBusyError, CallerError, NoCapableAgentError

TOOL = "explain"


def place(index: int) -> Place:
    return Place(f"{index:032x}", f"group-{index}", f"10.0.0.{index}:7400")


def registered(agent_id: str, *tools: str, room: int = 2, **fields: Any) -> AgentStatus:
    capabilities = [Capability(name=t, kind=CAPABILITY_KIND_TOOL) for t in tools or (TOOL,)]
    agent = Agent(agent_id=agent_id, capabilities=capabilities, max_in_flight=room)
    return AgentStatus(agent=agent, **fields)


class World:
    """A fleet with no agents yet."""

    def __init__(self, agents_max: int = 100) -> None:
        self.registry = Registry(lease_seconds_default=10, agents_max=100)
        self.remotes = RemoteAgents(agents_max)
        self.fleet = Fleet(self.registry, Router(self.registry), self.remotes, "here:1")
        self.revision = 0

    def here(self, agent_id: str, *tools: str, room: int = 2) -> AgentSession:
        agent = registered(agent_id, *tools, room=room).agent
        return self.registry.register(agent, 0, "lease", 0.0, 0)

    def there(
        self, index: int, *agents: AgentStatus, expires: float = 10.0, now: float = 0.0
    ) -> None:
        self.revision += 1
        if self.remotes.heard(place(index), self.revision, agents, expires, now):
            self.remotes.roster(place(index).id, self.revision, agents)

    def choose(self, policy: Any = 0, now: float = 0.0, without: Any = (), **fields: str) -> str:
        routing = Routing(policy=policy, **fields)
        return self.fleet.choose(TOOL, routing, now, without).agent.agent_id


def test_ours_come_first_while_they_have_room():
    world = World()
    session = world.here("mine", room=1)
    world.there(1, registered("idle", room=100))
    assert {world.choose() for _ in range(20)} == {"mine"}
    session.in_flight = 1
    assert world.choose() == "idle"


def test_the_less_loaded_one_elsewhere_gets_it_as_far_as_is_known():
    world = World()
    world.there(1, registered("busy", room=10, in_flight=5))
    world.there(2, registered("idle", room=10))
    assert {world.choose() for _ in range(20)} == {"idle"}
    idle = world.remotes.get("idle")
    assert idle is not None
    idle.forwarded = 6  # Sent from here since it told of itself.
    assert {world.choose() for _ in range(20)} == {"busy"}


def test_our_own_calls_are_counted_once():
    world = World()
    world.there(1, registered("a", room=10))
    agent = world.remotes.get("a")
    assert agent is not None
    agent.forwarded = 3
    world.there(1, registered("a", room=10, in_flight=4))
    assert agent.in_flight == 4
    agent.forwarded = 0
    assert agent.in_flight == 1


def test_draining_and_full_ones_get_nothing_and_all_full_is_busy():
    world = World()
    world.here("mine", room=1).in_flight = 1
    world.there(1, registered("draining", draining=True), registered("full", room=1, in_flight=1))
    with pytest.raises(AgentBusyError, match="all 3 agents with 'explain' are full"):
        world.choose()


def test_what_cannot_be_had_is_told_as_without_others():
    world = World()
    with pytest.raises(NoCapableAgentError, match="no live agent has 'explain'"):
        world.choose()
    world.there(1, registered("a"))
    with pytest.raises(NoCapableAgentError, match="'ghost' is not alive"):
        world.choose(ROUTING_POLICY_PINNED, agent_id="ghost")
    with pytest.raises(CallerError, match="not known"):
        world.choose(99)
    with pytest.raises(CallerError, match="needs a routing_key"):
        world.choose(ROUTING_POLICY_STICKY)


def test_one_named_agent_is_found_where_it_is():
    world = World()
    world.here("mine")
    world.there(1, registered("theirs", room=1))
    assert world.choose(ROUTING_POLICY_PINNED, agent_id="mine") == "mine"
    assert world.choose(ROUTING_POLICY_PINNED, agent_id="theirs") == "theirs"
    world.there(1, registered("theirs", room=1, in_flight=1))
    with pytest.raises(AgentBusyError):
        world.choose(ROUTING_POLICY_PINNED, agent_id="theirs")


def test_a_key_sticks_to_the_same_agent_wherever_it_is_asked_for():
    one, other = World(), World()
    one.here("a")
    one.there(1, registered("b"), registered("c"))
    other.here("b")
    other.there(2, registered("a"))
    other.there(3, registered("c"))
    keys = [f"key-{number}" for number in range(50)]
    found = [[w.choose(ROUTING_POLICY_STICKY, routing_key=k) for k in keys] for w in (one, other)]
    assert found[0] == found[1]
    assert set(found[0]) == {"a", "b", "c"}


def test_round_robin_goes_round_elsewhere_when_ours_are_full():
    world = World()
    world.there(1, registered("a"), registered("b"))
    assert [world.choose(ROUTING_POLICY_ROUND_ROBIN) for _ in range(4)] == ["a", "b", "a", "b"]


def test_coordinators_that_did_nothing_are_left_out():
    world = World()
    world.there(1, registered("a"))
    world.there(2, registered("b"))
    assert {world.choose(without=[place(1).id]) for _ in range(20)} == {"b"}
    with pytest.raises(NoCapableAgentError):
        world.choose(without=[place(1).id, place(2).id])


def test_an_id_that_is_here_and_elsewhere_is_here():
    world = World()
    world.there(1, registered("twin", "elsewhere"))
    world.here("twin")
    assert [status.coordinator for status in world.fleet.statuses(0.0, 0)] == ["here:1"]
    assert [tool.name for tool, _ in world.fleet.tools(0.0)] == [TOOL]
    assert world.fleet.elsewhere("twin", 0.0) is None


def test_agents_and_tools_of_all_are_listed_in_order():
    world = World()
    world.here("b", "shared", "mine")
    world.there(1, registered("a", "shared"), registered("c", "theirs"))
    statuses = world.fleet.statuses(0.0, 0)
    assert [(s.agent.agent_id, s.coordinator) for s in statuses] == [
        ("a", place(1).address), ("b", "here:1"), ("c", place(1).address),
    ]  # fmt: skip
    assert [(tool.name, count) for tool, count in world.fleet.tools(0.0)] == [
        ("mine", 1), ("shared", 2), ("theirs", 1),
    ]  # fmt: skip


def test_what_was_told_is_believed_until_its_record_ends():
    world = World()
    world.there(1, registered("a"), expires=3.0)
    world.there(2, registered("b"), expires=5.0)
    assert world.choose(now=2.9, without=[place(2).id]) == "a"
    revision = world.fleet.revision
    assert world.choose(now=3.0) == "b"
    assert world.fleet.revision > revision
    with pytest.raises(NoCapableAgentError):
        world.choose(now=5.0)


def test_who_does_not_serve_is_not_believed_for_a_while():
    world = World()
    world.there(1, registered("a"))
    world.remotes.shun(place(1).id, until=2.0)
    world.there(1, registered("a"), now=1.0)
    with pytest.raises(NoCapableAgentError):
        world.choose(now=1.0)
    world.there(1, registered("a"), now=2.0)
    assert world.choose(now=2.0) == "a"


def test_a_load_report_changes_no_revision_and_a_new_version_does():
    world = World()
    world.there(1, registered("a"))
    revision = world.fleet.revision
    head = [registered("a", load=LoadReport(queue_depth=3))]
    assert not world.remotes.heard(place(1), world.revision, head, 10.0, 0.0)
    agent = world.remotes.get("a")
    assert agent is not None
    assert agent.load.queue_depth == 3
    assert world.fleet.revision == revision
    newer = registered("a")
    newer.agent.version = "2"
    world.there(1, newer)
    assert world.fleet.revision > revision


def test_more_agents_than_there_is_room_for_are_left_out_and_counted():
    world = World(agents_max=3)
    world.there(1, *(registered(f"a{n}") for n in range(5)))
    assert (len(world.remotes), world.remotes.left_out) == (3, 2)
