"""Agents: a base class, decorators, and processes that are started, pinned and supervised."""

from bellwire.runtime.agent import Agent
from bellwire.runtime.assignment import AssignedPartition
from bellwire.runtime.call_context import CallContext
from bellwire.runtime.context import MessageContext
from bellwire.runtime.decorators import inference, on_watermark, subscribe, tool
from bellwire.runtime.placement import PlacementSettings
from bellwire.runtime.publication import NO_CAUSE, Cause, Output, Outputs, Publication
from bellwire.runtime.run import run_agent
from bellwire.runtime.runner import AgentRunner
from bellwire.runtime.settings import RunSettings
from bellwire.runtime.spec import AgentSpec, ChildContext, ProcessSpec, SupervisorSettings
from bellwire.runtime.supervisor import Supervisor

__all__ = [
    "NO_CAUSE",
    "Agent",
    "AgentRunner",
    "AgentSpec",
    "AssignedPartition",
    "CallContext",
    "Cause",
    "ChildContext",
    "MessageContext",
    "Output",
    "Outputs",
    "PlacementSettings",
    "ProcessSpec",
    "Publication",
    "RunSettings",
    "Supervisor",
    "SupervisorSettings",
    "inference",
    "on_watermark",
    "run_agent",
    "subscribe",
    "tool",
]
