"""Puts servicers on a gRPC server, straight from the contract's descriptors.

A servicer is a plain class with one coroutine per RPC it serves. What it raises becomes the end of the
RPC here, once for all of them; RPCs the contract has and the servicer has not answer UNIMPLEMENTED. This
takes the place of an interceptor, which would cost every message of a stream (grpc/grpc#25449).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bellwire.transport.serving.status import ServicerContext, abort
from bellwire.wire.errors import BellwireError, CallerError, NotImplementedYetError

Behavior = Callable[[Any, ServicerContext], Awaitable[Message | None]]
Guard = Callable[[Behavior, MethodDescriptor], Behavior]

_FACTORIES = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def service_handler(
    servicer: object, service: ServiceDescriptor, guard: Guard | None = None
) -> grpc.GenericRpcHandler:
    """Return what serves every RPC of a service; a guard stands around each."""
    handlers = {method.name: _handler(servicer, method, guard) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(
    servicer: object, method: MethodDescriptor, guard: Guard | None
) -> grpc.RpcMethodHandler[Any, Any]:
    behavior: Behavior = getattr(servicer, method.name, None) or _refusal(method)
    if guard is not None:
        behavior = guard(behavior, method)
    factory = _FACTORIES[method.client_streaming, method.server_streaming]
    parse = GetMessageClass(method.input_type).FromString
    streams = method.client_streaming
    return factory(
        _ending_with_status(behavior if streams else _parsing(behavior, parse), method),
        # gRPC would end an RPC whose request it cannot parse with UNKNOWN and a stack trace in our log.
        request_deserializer=parse if streams else None,
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _parsing(behavior: Behavior, parse: Callable[[bytes], Message]) -> Behavior:
    async def serve(data: bytes, context: ServicerContext) -> Message | None:
        return await behavior(parse(data), context)

    return serve


def _ending_with_status(behavior: Behavior, method: MethodDescriptor) -> Behavior:
    async def serve(request: Any, context: ServicerContext) -> Message | None:
        try:
            return await behavior(request, context)
        except DecodeError:
            name = method.input_type.full_name
            await abort(context, CallerError(f"the request is no serialized {name}"))
        except BellwireError as error:
            await abort(context, error)

    return serve


def _refusal(method: MethodDescriptor) -> Behavior:
    rpc = f"{method.containing_service.full_name}/{method.name}"

    async def refuse(_: Any, __: ServicerContext) -> Message:
        raise NotImplementedYetError(
            f"{rpc} is in the contract and not served yet", metadata={"rpc": rpc}
        )

    return refuse
