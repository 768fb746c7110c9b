"""What a standby serves: who it is, and for everything else who is active."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from bellwire.admin.v1 import server_pb2
from bellwire.coordinator.services.admin import process_info
from bellwire.coordinator.services.catalog import SERVICES
from bellwire.transport.serving.handlers import service_handler
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import NotOwnerError

__all__ = ["not_owner", "standby_handlers"]

SERVER_SERVICE: Final = "ServerService"
ELECTION_SECONDS: Final = 0.1  # When nobody is known: the shortest pause before asking again.


def not_owner(owner: str, here: str, group: str) -> NotOwnerError:
    """Return the refusal of an RPC: the active coordinator's address, or that there is none yet."""
    if owner == here:
        return NotOwnerError(
            f"{here} is to be active in group {group!r} and does not serve yet, or not now: try again",
            metadata={"owner": owner, "group": group},
            retry_delay_seconds=ELECTION_SECONDS,
        )
    if owner:
        return NotOwnerError(
            f"{here} is a standby of group {group!r}: {owner} is active, connect there",
            metadata={"owner": owner, "group": group},
        )
    return NotOwnerError(
        f"{here} is a standby of group {group!r}, and nobody is active yet: try again",
        metadata={"group": group},
        retry_delay_seconds=ELECTION_SECONDS,
    )


class _Refusal:
    """Stands for any servicer, and refuses every RPC of it."""

    def __init__(self, refusal: Callable[[], NotOwnerError]) -> None:
        self._refusal = refusal

    def __getattr__(self, name: str) -> Any:
        async def refuse(request: object, context: ServicerContext) -> None:
            raise self._refusal()

        return refuse


class _StandbyServer:
    """ServerService of a coordinator that is not active."""

    def __init__(
        self,
        started_ns: int,
        addresses: Callable[[], Iterable[str]],
        cluster: Callable[[], server_pb2.ClusterInfo],
    ) -> None:
        self._started_ns = started_ns
        self._addresses = addresses
        self._cluster = cluster

    async def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: ServicerContext
    ) -> server_pb2.GetServerInfoResponse:
        """Describe this process and its group."""
        response = process_info(self._started_ns, self._addresses())
        response.cluster.CopyFrom(self._cluster())
        return response


def standby_handlers(
    started_ns: int,
    addresses: Callable[[], Iterable[str]],
    cluster: Callable[[], server_pb2.ClusterInfo],
    refusal: Callable[[], NotOwnerError],
) -> list[grpc.GenericRpcHandler]:
    """Return what serves every service of the contract on a standby."""
    server = _StandbyServer(started_ns, addresses, cluster)
    closed = _Refusal(refusal)
    return [
        service_handler(server if name == SERVER_SERVICE else closed, service)
        for name, service in SERVICES.items()
    ]
