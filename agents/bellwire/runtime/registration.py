"""What an agent tells the directory about itself."""

import os
import socket
from collections.abc import Mapping, Set

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_TOOL, CachePolicy, Capability
from bellwire.agent.v1.agent_pb2 import Agent as AgentEntry
from bellwire.runtime.device import Device
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.handlers import ToolSpec
from bellwire.runtime.placement import DEVICE_VARIABLE


def directory_entry(dispatcher: Dispatcher, calls_max: int) -> AgentEntry:
    """Return the entry of an agent in this process.

    Args:
        dispatcher: Knows the agent's topics.
        calls_max: Calls it takes at once.
    """
    agent = dispatcher.agent
    return AgentEntry(
        agent_id=agent.agent_id,
        name=agent.name,
        version=agent.version,
        capabilities=[_capability(spec) for spec in agent.declarations.tools],
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


def _capability(spec: ToolSpec) -> Capability:
    return Capability(
        name=spec.name,
        kind=CAPABILITY_KIND_TOOL,
        description=spec.description,
        input_schema_json=spec.input_schema_json,
        title=spec.title,
        cache=_cache(spec),
    )


def _cache(spec: ToolSpec) -> CachePolicy | None:
    if not spec.cache_millis:
        return None
    return CachePolicy(ttl_millis=spec.cache_millis, outdated_by=spec.outdated_by)
