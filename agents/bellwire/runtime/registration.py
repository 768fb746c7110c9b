"""What an agent tells the directory about itself."""

import os
import socket
from collections.abc import Mapping, Set

from bellwire.agent.v1.agent_pb2 import Agent as AgentEntry
from bellwire.runtime.device import Device
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.offer import Offer
from bellwire.runtime.placement import DEVICE_VARIABLE


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
        device=device_name(os.environ, os.sched_getaffinity(0), os.cpu_count() or 0),
        pid=os.getpid(),
        host=socket.gethostname(),
    )


def device_name(environment: Mapping[str, str], allowed: Set[int], cpu_count: int) -> str:
    """Return the GPU that the supervisor gave this process, "cuda:0", else its CPUs.

    "cpu" when it may use all of the machine's, "cpu:2,3" when only some.
    """
    gpu = environment.get(DEVICE_VARIABLE, "")
    if gpu:
        return gpu
    return str(Device(cpus=tuple(sorted(allowed)) if len(allowed) < cpu_count else ()))
