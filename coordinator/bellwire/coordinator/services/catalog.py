"""Every service of the contract, and what serves it."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import ServiceDescriptor

from bellwire.admin.v1 import dead_letter_pb2, server_pb2, topic_pb2
from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.coordinator.services.admin import ServerService, TopicService
from bellwire.coordinator.services.agent import AgentService
from bellwire.coordinator.services.dead_letter import DeadLetterService
from bellwire.coordinator.services.invocation import Dispatcher, InvocationService
from bellwire.coordinator.services.mcp import McpService
from bellwire.coordinator.services.publisher import PublisherService
from bellwire.coordinator.services.subscriber import SubscriberService
from bellwire.coordinator.state import CoordinatorState
from bellwire.mcp.v1 import mcp_pb2

SERVICES: Final[dict[str, ServiceDescriptor]] = {
    name: file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (publisher_pb2, "PublisherService"),
        (subscriber_pb2, "SubscriberService"),
        (agent_pb2, "AgentService"),
        (invocation_pb2, "InvocationService"),
        (mcp_pb2, "McpService"),
        (topic_pb2, "TopicService"),
        (server_pb2, "ServerService"),
        (dead_letter_pb2, "DeadLetterService"),
    )
}


def servicers_of(state: CoordinatorState) -> dict[str, object]:
    """Return what serves each service, by its name, for one coordinator that is active."""
    dispatcher = Dispatcher(state)
    return {
        "PublisherService": PublisherService(state),
        "SubscriberService": SubscriberService(state),
        "AgentService": AgentService(state, dispatcher.on_open),
        "InvocationService": InvocationService(state, dispatcher),
        "McpService": McpService(state, dispatcher),
        "TopicService": TopicService(state),
        "ServerService": ServerService(state),
        "DeadLetterService": DeadLetterService(state),
    }
