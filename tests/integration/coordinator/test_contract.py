"""What the whole contract owes a client: health, reflection, and a clear answer for every RPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from tests.integration.coordinator.frames import Stubs, refusal, within

from bellwire.admin.v1 import dead_letter_pb2, server_pb2, topic_pb2
from bellwire.agent.v1 import agent_pb2, invocation_pb2
from bellwire.bus.v1 import publisher_pb2, subscriber_pb2
from bellwire.mcp.v1 import mcp_pb2
from bellwire.wire.errors import NotImplementedYetError

pytestmark = pytest.mark.integration

FILES = (
    publisher_pb2, subscriber_pb2, agent_pb2, invocation_pb2, mcp_pb2, topic_pb2, server_pb2,
    dead_letter_pb2,
)  # fmt: skip
SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]
METHODS = {f"{service.full_name}/{m.name}": m for service in SERVICES for m in service.methods}
SERVED = {
    "bellwire.admin.v1.DeadLetterService/ListDeadLetters",
    "bellwire.admin.v1.DeadLetterService/PurgeDeadLetters",
    "bellwire.admin.v1.DeadLetterService/RedriveDeadLetters",
    "bellwire.admin.v1.TopicService/UpdateTopic",
    "bellwire.bus.v1.SubscriberService/DeleteSubscription",
    "bellwire.bus.v1.SubscriberService/GetLatest",
    "bellwire.bus.v1.SubscriberService/Replay",
    "bellwire.bus.v1.SubscriberService/Seek",
    "bellwire.admin.v1.ServerService/GetServerInfo",
    "bellwire.admin.v1.TopicService/CreateTopic",
    "bellwire.admin.v1.TopicService/DeleteTopic",
    "bellwire.admin.v1.TopicService/GetTopic",
    "bellwire.admin.v1.TopicService/GetTopicStats",
    "bellwire.admin.v1.TopicService/ListTopics",
    "bellwire.agent.v1.AgentService/Connect",
    "bellwire.agent.v1.AgentService/DrainAgent",
    "bellwire.agent.v1.AgentService/GetAgent",
    "bellwire.agent.v1.AgentService/ListAgents",
    "bellwire.agent.v1.InvocationService/Invoke",
    "bellwire.bus.v1.PublisherService/GetTopicMetadata",
    "bellwire.bus.v1.PublisherService/Publish",
    "bellwire.bus.v1.PublisherService/PublishStream",
    "bellwire.bus.v1.SubscriberService/Acknowledge",
    "bellwire.bus.v1.SubscriberService/Pull",
    "bellwire.bus.v1.SubscriberService/Subscribe",
    "bellwire.mcp.v1.McpService/CallTool",
    "bellwire.mcp.v1.McpService/ListTools",
}
REFLECTION = {
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


def call(bus: Stubs, rpc: str, method: MethodDescriptor) -> Any:
    """An RPC with an empty request, whatever its kind."""
    kinds = {
        (False, False): bus.channel.unary_unary,
        (False, True): bus.channel.unary_stream,
        (True, True): bus.channel.stream_stream,
    }
    kind: Any = kinds[method.client_streaming, method.server_streaming]
    request = GetMessageClass(method.input_type)
    start = kind(
        f"/{rpc}",
        request_serializer=request.SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return start() if method.client_streaming else start(request())


@pytest.mark.parametrize("rpc", sorted(METHODS.keys() - SERVED))
async def test_an_rpc_that_is_not_served_yet_says_so(bus: Stubs, rpc: str):
    method = METHODS[rpc]
    started = call(bus, rpc, method)
    error = await refusal(started.read() if method.server_streaming else started)
    assert isinstance(error, NotImplementedYetError)
    assert error.message == f"{rpc} is in the contract and not served yet"
    assert error.metadata == {"rpc": rpc}


@pytest.mark.parametrize("rpc", sorted(SERVED))
async def test_an_rpc_that_is_served_is_not_refused_as_missing(bus: Stubs, rpc: str):
    method = METHODS[rpc]
    started = call(bus, rpc, method)
    if method.client_streaming:
        await within(started.done_writing())
    code = await within(started.code())
    assert code not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN)


async def test_a_service_nobody_has_is_unimplemented(bus: Stubs):
    missing = bus.channel.unary_unary("/bellwire.none.v1.NoService/Nothing")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(missing(b""))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("name", ["", *(service.full_name for service in SERVICES)])
async def test_every_service_is_healthy(bus: Stubs, name: str):
    stub: Any = health_pb2_grpc.HealthStub(bus.channel)
    answer = await within(stub.Check(health_pb2.HealthCheckRequest(service=name)))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_health_of_a_service_nobody_has_is_not_found(bus: Stubs):
    stub: Any = health_pb2_grpc.HealthStub(bus.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(stub.Check(health_pb2.HealthCheckRequest(service="none")))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def reflect(bus: Stubs, version: str, **request: Any) -> Any:
    """One question to server reflection."""
    stream = bus.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await within(stream.write(reflection_pb2.ServerReflectionRequest(**request)))
    answer = await within(stream.read())
    await within(stream.done_writing())
    return answer


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_all_services_under_both_its_names(bus: Stubs, version: str):
    answer = await reflect(bus, version, list_services="")
    names = {service.name for service in answer.list_services_response.service}
    assert names == {s.full_name for s in SERVICES} | REFLECTION | {"grpc.health.v1.Health"}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_services_methods_messages_and_fields(bus: Stubs, version: str):
    symbols = [service.full_name for service in SERVICES]
    symbols += [rpc.replace("/", ".") for rpc in METHODS]
    symbols += ["bellwire.bus.v1.Message", "bellwire.bus.v1.Message.id", "bellwire.bus.v1.Codec"]
    for symbol in symbols:
        answer = await reflect(bus, version, file_containing_symbol=symbol)
        assert answer.file_descriptor_response.file_descriptor_proto, symbol


@pytest.mark.parametrize(
    "symbol", ["none", "bellwire.bus.v1.None", "bellwire.bus.v1.PublisherService.None", ""]
)
async def test_reflection_says_what_it_does_not_find(bus: Stubs, symbol: str):
    answer = await reflect(bus, "v1", file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
