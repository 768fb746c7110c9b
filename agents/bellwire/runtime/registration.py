"""What an agent tells the directory about itself."""

import os
import socket

from bellwire.agent.v1.agent_pb2 import Agent as AgentEntry
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.offer import Offer


def directory_entry(dispatcher: Dispatcher, calls_max: int) -> AgentEntry:
    """Return the entry of an agent in this process.

    Args:
        dispatcher: Knows the agent and its topics.
        calls_max: Calls it takes at once.
    """
    agent = dispatcher.agent
    return AgentEntry(
        agent_id=agent.agent_id,
        name=agent.name,
        version=agent.version,
        capabilities=Offer(agent).capabilities(),
        subscribes=dispatcher.topics,
        publishes=dispatcher.publishes,
        max_in_flight=calls_max,
        device=device_name(os.sched_getaffinity(0), os.cpu_count() or 0),
        pid=os.getpid(),
        host=socket.gethostname(),
    )


def device_name(allowed: set[int], cpu_count: int) -> str:
    """Return "cpu", or "cpu:2,3" when the process may use only some of the machine's CPUs."""
    if len(allowed) >= cpu_count:
        return "cpu"
    return "cpu:" + ",".join(str(cpu) for cpu in sorted(allowed))
