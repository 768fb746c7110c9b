"""The gRPC door: the service, health and reflection on an address of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bellwire.agents.inference.kserve.address import check_free, parse_address
from bellwire.agents.inference.kserve.contract import POOL, SERVICE
from bellwire.agents.inference.kserve.errors import KserveListenError
from bellwire.agents.inference.kserve.front import Front
from bellwire.agents.inference.kserve.grpc_service import GrpcInferenceService
from bellwire.transport.serving.handlers import service_handler
from bellwire.transport.serving.reflection import add_reflection

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # four inputs of the largest size
RPCS_MAX: Final = 256  # at once; beyond, RESOURCE_EXHAUSTED by gRPC itself
STOP_GRACE_SECONDS: Final = 1.0  # for answers under way; a batch takes milliseconds
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # Two servers on one port would each get half of the callers.
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)


class GrpcDoor:
    """Serves `inference.GRPCInferenceService` until closed."""

    def __init__(self, front: Front, address: str) -> None:
        """Prepare.

        Args:
            front: Who answers.
            address: HOST:PORT; port 0 = any.
        """
        self._front = front
        self._address = address
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """Serve; return HOST:PORT with the port that was taken.

        Raises:
            KserveListenError: The address cannot be served.
        """
        address = parse_address(self._address)
        check_free(self._address)
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=RPCS_MAX)
        service = GrpcInferenceService(self._front)
        server.add_generic_rpc_handlers((service_handler(service, SERVICE),))
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        for name in ("", SERVICE.full_name):
            await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        add_reflection(server, [SERVICE.full_name, health.SERVICE_NAME], POOL)
        try:
            port = server.add_insecure_port(str(address))
        except RuntimeError as error:
            raise KserveListenError(self._address, str(error)) from error
        self._server = server
        await server.start()
        return str(replace(address, port=port))

    async def close(self) -> None:
        """Take no more requests and answer those under way, for a second at most."""
        if self._server is not None:
            await self._server.stop(STOP_GRACE_SECONDS)
            self._server = None
