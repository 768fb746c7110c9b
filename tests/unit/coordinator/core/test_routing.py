"""bellwire.coordinator.core.routing: which agent gets a call, and who is told that nobody can."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, Agent, Capability, LoadReport
from bellwire.agent.v1.invocation_pb2 import (
    ROUTING_POLICY_LEAST_LOADED,
    ROUTING_POLICY_PINNED,
    ROUTING_POLICY_ROUND_ROBIN,
    ROUTING_POLICY_STICKY,
    Routing,
)
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.coordinator.core.routing import Router
from bellwire.wire.errors import AgentBusyError, CallerError, NoCapableAgentError

TOOL = "explain"


class Fleet:
    """Agents with one tool, and a router over them."""

    def __init__(self, count: int, max_in_flight: int = 2) -> None:
        self.registry = Registry(lease_seconds_default=10, agents_max=1_000)
        self.router = Router(self.registry)
        self.sessions = [self.add(f"agent-{index}", max_in_flight) for index in range(count)]

    def add(self, agent_id: str, max_in_flight: int = 2) -> AgentSession:
        capability = Capability(name=TOOL, kind=CAPABILITY_KIND_TOOL)
        agent = Agent(agent_id=agent_id, capabilities=[capability], max_in_flight=max_in_flight)
        return self.registry.register(agent, 0, "lease", 0.0, 0)

    def choose(self, policy: Any = 0, **fields: str) -> str:
        return self.router.choose(TOOL, Routing(policy=policy, **fields)).agent.agent_id


def test_without_an_agent_the_capability_is_named():
    with pytest.raises(NoCapableAgentError, match="no live agent has 'explain'") as caught:
        Fleet(0).choose()
    assert caught.value.metadata == {"capability": TOOL}


@pytest.mark.parametrize("policy", [0, ROUTING_POLICY_LEAST_LOADED])
def test_the_less_loaded_of_two_gets_the_call(policy):
    fleet = Fleet(2)
    fleet.sessions[0].in_flight = 1
    assert {fleet.choose(policy) for _ in range(20)} == {"agent-1"}


def test_what_waits_inside_an_agent_counts_as_load():
    fleet = Fleet(2)
    fleet.sessions[0].load = LoadReport(queue_depth=1)
    assert {fleet.choose() for _ in range(20)} == {"agent-1"}


def test_load_is_measured_against_capacity():
    fleet = Fleet(0)
    small, large = fleet.add("small", 2), fleet.add("large", 100)
    small.in_flight, large.in_flight = 1, 10
    assert {fleet.choose() for _ in range(20)} == {"large"}


def test_a_full_agent_is_passed_over_and_all_full_is_busy():
    fleet = Fleet(3)
    fleet.sessions[0].in_flight = fleet.sessions[2].in_flight = 2
    assert {fleet.choose() for _ in range(20)} == {"agent-1"}
    fleet.sessions[1].in_flight = 2
    with pytest.raises(AgentBusyError, match="all 3 agents with 'explain' are full") as caught:
        fleet.choose()
    assert caught.value.retryable
    assert caught.value.retry_delay_seconds


def test_a_draining_agent_gets_nothing_new():
    fleet = Fleet(2)
    fleet.sessions[0].draining = True
    assert {fleet.choose() for _ in range(20)} == {"agent-1"}


def test_round_robin_goes_round():
    fleet = Fleet(3)
    turns = [fleet.choose(ROUTING_POLICY_ROUND_ROBIN) for _ in range(6)]
    assert turns == ["agent-0", "agent-1", "agent-2"] * 2


def test_pinned_takes_the_agent_named_or_nobody():
    fleet = Fleet(3)
    assert fleet.choose(ROUTING_POLICY_PINNED, agent_id="agent-1") == "agent-1"
    with pytest.raises(NoCapableAgentError, match="'ghost' is not alive") as caught:
        fleet.choose(ROUTING_POLICY_PINNED, agent_id="ghost")
    assert caught.value.metadata["agent_id"] == "ghost"
    fleet.sessions[1].in_flight = 2
    with pytest.raises(AgentBusyError):
        fleet.choose(ROUTING_POLICY_PINNED, agent_id="agent-1")


def test_sticky_needs_a_key():
    with pytest.raises(CallerError, match="needs a routing_key"):
        Fleet(1).choose(ROUTING_POLICY_STICKY)


def test_sticky_keeps_a_key_at_its_agent_and_waits_for_it_when_it_is_full():
    fleet = Fleet(4)
    chosen = fleet.choose(ROUTING_POLICY_STICKY, routing_key="EURUSD")
    assert {fleet.choose(ROUTING_POLICY_STICKY, routing_key="EURUSD") for _ in range(9)} == {chosen}
    fleet.registry.get(chosen).in_flight = 2
    with pytest.raises(AgentBusyError):
        fleet.choose(ROUTING_POLICY_STICKY, routing_key="EURUSD")


def test_sticky_spreads_keys_evenly_and_moves_only_those_of_an_agent_that_left():
    fleet = Fleet(3)
    keys = [f"symbol-{index}" for index in range(3_000)]
    before = {key: fleet.choose(ROUTING_POLICY_STICKY, routing_key=key) for key in keys}
    assert all(850 < count < 1_150 for count in Counter(before.values()).values())
    fleet.registry.remove(fleet.sessions[1])
    after = {key: fleet.choose(ROUTING_POLICY_STICKY, routing_key=key) for key in keys}
    assert all(after[key] == agent for key, agent in before.items() if agent != "agent-1")


def test_an_unknown_policy_is_refused_by_number():
    with pytest.raises(CallerError, match="routing policy 9 is not known"):
        Fleet(1).choose(9)
