"""The doors beside the bus: gRPC and HTTP over one endpoint."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.kserve.front import Front
from bellwire.agents.inference.kserve.grpc_server import GrpcDoor
from bellwire.agents.inference.kserve.http_protocol import HEAD_SECONDS_MAX
from bellwire.agents.inference.kserve.http_server import HttpDoor
from bellwire.agents.inference.kserve.rest import rest_app

logger = logging.getLogger(__name__)


class KserveDoors:
    """Serves what is addressed, from `async with` to its end.

    Nobody is asked who they are: an address other than loopback is for networks one trusts.

    Attributes:
        grpc_address: HOST:PORT served; empty = not.
        http_address: HOST:PORT served; empty = not.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        grpc: str = "",
        http: str = "",
        head_seconds_max: float = HEAD_SECONDS_MAX,
    ) -> None:
        """Prepare.

        Args:
            endpoint: Who answers; stays open.
            grpc: HOST:PORT, port 0 = any; empty = no gRPC.
            http: HOST:PORT, port 0 = any; empty = no HTTP.
            head_seconds_max: An HTTP connection whose request head has not come by then is closed.
        """
        front = Front(endpoint)
        self.grpc_address = ""
        self.http_address = ""
        self._grpc = GrpcDoor(front, grpc) if grpc else None
        self._http = HttpDoor(rest_app(front), http, head_seconds_max) if http else None

    async def __aenter__(self) -> Self:
        try:
            if self._grpc is not None:
                self.grpc_address = await self._grpc.start()
            if self._http is not None:
                self.http_address = await self._http.start()
        except BaseException:
            await self.close()
            raise
        for kind, address in (("gRPC", self.grpc_address), ("HTTP", self.http_address)):
            if address:
                logger.info("models are served over %s on %s", kind, address)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer what is under way, and serve no more; safe to call twice."""
        if self._http is not None:
            await self._http.close()
        if self._grpc is not None:
            await self._grpc.close()
