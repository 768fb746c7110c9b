"""bellwire.cli.agent_view: live agents in aligned lines."""

from __future__ import annotations

import io

from rich.console import Console

from bellwire.agent.v1.agent_pb2 import (
    CAPABILITY_KIND_INFERENCE,
    Agent,
    AgentStatus,
    Capability,
    LoadReport,
)
from bellwire.cli.agent_view import agent_json, print_agents

RISK = AgentStatus(
    agent=Agent(
        agent_id="risk-0",
        pid=4123,
        device="cpu:2,3",
        capabilities=[Capability(name="risk_status")],
        subscribes=["signals.tactical", "executions.paper", "control.killswitch"],
        publishes=["risk.decisions", "orders.paper"],
    ),
    load=LoadReport(messages_handled=1234, cpu_seconds=0.94, rss_bytes=52 << 20, restarts=1),
    in_flight=2,
)
FEED = AgentStatus(agent=Agent(agent_id="feed-0", pid=7, publishes=["bars.1h"]), draining=True)


def test_figures_stand_in_columns_and_topics_below_their_agent():
    out = Console(file=io.StringIO(), width=100, record=True, highlight=False)
    print_agents([FEED, RISK], out)
    assert [line.rstrip() for line in out.export_text().splitlines()] == [
        "agent               pid   device  handled  errors  calls  restarts    cpu    memory",
        "feed-0 (draining)     7                 0       0      0         0  0.0 s       0 B",
        "    writes bars.1h",
        "risk-0             4123  cpu:2,3    1,234       0      2         1  0.9 s  52.0 MiB",
        "    tools  risk_status",
        "    reads  signals.tactical, executions.paper, control.killswitch",
        "    writes risk.decisions, orders.paper",
    ]


def test_an_agent_as_json_has_identity_and_load():
    found = agent_json(RISK)
    assert (found["agent_id"], found["tools"], found["restarts"]) == ("risk-0", ["risk_status"], 1)
    assert found["subscribes"] == ["signals.tactical", "executions.paper", "control.killswitch"]


def test_agent_on_a_gpu_tells_how_busy_it_is():
    status = AgentStatus(agent=Agent(agent_id="llm-0", device="cuda:1"))
    status.load.gpu.memory_used_bytes = 3 << 30
    status.load.gpu.memory_total_bytes = 24 << 30
    out = Console(file=io.StringIO(), width=100, record=True, highlight=False)
    print_agents([status], out)
    status.load.gpu.utilization = 0.25
    print_agents([status], out)
    lines = [line.strip() for line in out.export_text().splitlines() if "gpu " in line]
    assert lines == [
        "gpu    3.00 GiB of 24.0 GiB used",
        "gpu    3.00 GiB of 24.0 GiB used, busy 25%",
    ]
    assert agent_json(status)["gpu"] == {
        "memory_used_bytes": 3 << 30, "memory_total_bytes": 24 << 30, "utilization": 0.25
    }  # fmt: skip
    assert agent_json(RISK)["gpu"] is None


def test_models_stand_apart_from_tools():
    out = Console(file=io.StringIO(), width=100, record=True, highlight=False)
    offering = AgentStatus()
    offering.CopyFrom(RISK)
    offering.agent.capabilities.add(name="infer.tactical", kind=CAPABILITY_KIND_INFERENCE)
    print_agents([offering], out)
    lines = [line.rstrip() for line in out.export_text().splitlines()]
    assert lines[2:4] == ["    tools  risk_status", "    models infer.tactical"]
    found = agent_json(offering)
    assert (found["tools"], found["models"]) == (["risk_status"], ["infer.tactical"])


def test_where_there_are_several_coordinators_each_agent_names_its_own():
    out = Console(file=io.StringIO(), width=120, record=True, highlight=False)
    there = AgentStatus()
    there.CopyFrom(RISK)
    there.coordinator = "10.0.0.2:7400"
    print_agents([FEED, there], out)
    lines = out.export_text().splitlines()
    assert lines[0].rstrip().endswith("    memory    coordinator")
    assert lines[3].rstrip().endswith("  52.0 MiB  10.0.0.2:7400")
    assert agent_json(there)["coordinator"] == "10.0.0.2:7400"
