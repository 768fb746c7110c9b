"""Server reflection, v1 and v1alpha: what grpcurl asks."""

from __future__ import annotations

from typing import Any, Final, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1_SERVICE: Final = "grpc.reflection.v1.ServerReflection"


class _Pool:
    """A descriptor pool that also finds methods: `grpcurl describe Service.Method` asks for them."""

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Return the file that declares a symbol.

        Raises:
            KeyError: None does.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            found = self._pool.FindServiceByName(service)
            return found.methods_by_name[method].containing_service.file


def add_reflection(
    server: grpc.aio.Server,
    services: list[str],
    descriptors: descriptor_pool.DescriptorPool | None = None,
) -> None:
    """Serve reflection under both names; their messages are the same on the wire.

    Args:
        server: One that has not started.
        services: Full names.
        descriptors: Where they are declared; None = the default pool.
    """
    names = (*services, reflection.SERVICE_NAME, V1_SERVICE)
    found = _Pool(descriptors or descriptor_pool.Default())
    pool = cast("descriptor_pool.DescriptorPool", found)
    servicer = reflection.aio.ReflectionServicer(names, pool=pool)
    reflection.enable_server_reflection(names, server, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1_SERVICE, {"ServerReflectionInfo": handler}),)
    )
