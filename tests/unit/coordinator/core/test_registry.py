"""bellwire.coordinator.core.registry: who is alive, what for, and for how long."""

from __future__ import annotations

import pytest

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_INFERENCE,
    CAPABILITY_KIND_TOOL,
    Agent,
    Capability,
    LoadReport,
)
from bellwire.coordinator.core.registry import AgentSession, Registry
from bellwire.wire.errors import AgentExistsError, CallerError, CapacityError, UnknownAgentError

NOW = 50.0
SECOND_NS = 1_000_000_000


@pytest.fixture
def registry() -> Registry:
    return Registry(lease_seconds_default=10, agents_max=3)


def tool(name: str, description: str = "") -> Capability:
    return Capability(name=name, kind=CAPABILITY_KIND_TOOL, description=description)


def register(
    registry: Registry, agent_id: str, *tools: str, millis: int = 0, now: float = NOW
) -> AgentSession:
    agent = Agent(agent_id=agent_id, capabilities=[tool(name) for name in tools])
    return registry.register(agent, millis, f"lease-{agent_id}", now, 7)


def test_an_agent_is_found_by_id_and_by_capability(registry: Registry):
    session = register(registry, "rules-0", "explain")
    assert registry.get("rules-0") is session
    assert registry.with_capability("explain") == [session]
    assert registry.with_capability("nothing") == []


def test_what_an_agent_left_out_is_filled_in(registry: Registry):
    agent = register(registry, "rules-0").agent
    assert (agent.name, agent.max_in_flight) == ("rules-0", 16)


def test_a_second_agent_of_the_same_id_is_refused_while_the_first_lives(registry: Registry):
    register(registry, "rules-0", millis=2_000)
    with pytest.raises(AgentExistsError, match="'rules-0' runs already"):
        register(registry, "rules-0", now=NOW + 1.9)
    register(registry, "rules-0", now=NOW + 2.0)


def test_the_number_of_agents_is_bounded(registry: Registry):
    for index in range(3):
        register(registry, f"a{index}")
    with pytest.raises(CapacityError, match="3 agents are connected, limit is 3"):
        register(registry, "a3")


def test_a_lease_ends_when_nothing_was_heard_for_its_length(registry: Registry):
    short = register(registry, "short", "t", millis=1_000)
    long = register(registry, "long", "t")
    assert registry.expire(NOW + 0.999) == []
    assert registry.expire(NOW + 1.0) == [short]
    assert registry.with_capability("t") == [long]
    assert registry.expire(NOW + 10.0) == [long]
    assert len(registry) == 0
    assert registry.with_capability("t") == []


def test_a_renewed_lease_is_counted_from_now(registry: Registry):
    session = register(registry, "a", millis=1_000)
    session.renew(NOW + 0.9)
    assert registry.expire(NOW + 1.5) == []
    assert registry.expire(NOW + 1.9) == [session]


def test_removing_a_session_does_not_remove_its_successor(registry: Registry):
    old = register(registry, "a", "t", millis=1_000)
    registry.expire(NOW + 1)
    new = register(registry, "a", "t", now=NOW + 1)
    registry.remove(old)
    assert registry.get("a") is new
    assert registry.with_capability("t") == [new]


@pytest.mark.parametrize("millis", [1, 999, 300_001])
def test_a_lease_outside_its_bounds_is_refused(registry: Registry, millis: int):
    with pytest.raises(CallerError, match=f"lease of {millis} ms.*1000 to 300000"):
        register(registry, "a", millis=millis)
    assert len(registry) == 0


def test_an_agent_nobody_knows_is_refused_by_name(registry: Registry):
    with pytest.raises(UnknownAgentError, match="no live agent 'ghost'"):
        registry.get("ghost")
    with pytest.raises(UnknownAgentError):
        registry.status("ghost", NOW, 0)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (Agent(), "agent_id '' is not allowed"),
        (Agent(agent_id="a b"), "agent_id 'a b' is not allowed"),
        (Agent(agent_id="x" * 129), "1 to 128 characters"),
        (Agent(agent_id="a", max_in_flight=10_001), "max_in_flight is 10001, limit is 10000"),
        (Agent(agent_id="a", capabilities=[tool("t")] * 257), "257 capabilities, limit is 256"),
        (Agent(agent_id="a", capabilities=[tool("t"), tool("t")]), "'t' is registered twice"),
        (Agent(agent_id="a", capabilities=[tool("")]), "capability name ''"),
        (Agent(agent_id="a", capabilities=[Capability(name="t")]), "'t' has kind 0"),
        (
            Agent(agent_id="a", capabilities=[tool("t", "ä" * 2_049)]),
            "description above 4096 bytes",
        ),
        (
            Agent(
                agent_id="a",
                capabilities=[
                    Capability(name="t", kind=CAPABILITY_KIND_TOOL, input_schema_json=bytes(65_537))
                ],
            ),
            "schema of 65537 bytes, limit is 65536",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_registration_is_refused_in_words(registry: Registry, agent, words):
    with pytest.raises(CallerError, match=words):
        registry.register(agent, 0, "lease", NOW, 0)
    assert len(registry) == 0


def test_tools_are_ordered_by_name_and_counted_and_inference_is_none_of_them(registry: Registry):
    register(registry, "a", "zeta", "alpha")
    register(registry, "b", "alpha")
    endpoint = Capability(name="model", kind=CAPABILITY_KIND_INFERENCE)
    registry.register(Agent(agent_id="c", capabilities=[endpoint]), 0, "l", NOW, 0)
    assert [(tool.name, count) for tool, count in registry.tools()] == [("alpha", 2), ("zeta", 1)]


def test_the_agent_registered_first_describes_a_shared_tool(registry: Registry):
    for agent_id, words in (("a", "first"), ("b", "second")):
        agent = Agent(agent_id=agent_id, capabilities=[tool("t", words)])
        registry.register(agent, 0, "l", NOW, 0)
    assert [tool.description for tool, _ in registry.tools()] == ["first"]


def test_a_status_tells_load_lease_and_calls(registry: Registry):
    session = register(registry, "b", millis=2_000)
    register(registry, "a")
    session.load = LoadReport(queue_depth=3)
    session.in_flight = 2
    session.draining = True
    assert [s.agent.agent_id for s in registry.statuses(NOW, 0)] == ["a", "b"]
    status = registry.status("b", NOW + 0.5, 10 * SECOND_NS)
    assert (status.load.queue_depth, status.in_flight, status.draining) == (3, 2, True)
    assert status.lease_expire_time_unix_nano == 10 * SECOND_NS + SECOND_NS * 3 // 2
    assert status.register_time_unix_nano == 7


def test_work_counts_calls_here_and_queued_there_against_capacity(registry: Registry):
    session = register(registry, "a")
    session.in_flight, session.load = 4, LoadReport(queue_depth=4)
    assert session.work == 0.5
    session.in_flight = 16
    assert not session.has_room
