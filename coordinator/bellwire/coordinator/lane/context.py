"""What a servicer sees of an RPC of the socket lane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from bellwire.coordinator.lane.driver import Driver, unknown_frame
from bellwire.coordinator.lane.peer import Peer
from bellwire.coordinator.lane.turns import Turns
from bellwire.coordinator.services.context import BareContext
from bellwire.coordinator.services.conversation import Conversation
from bellwire.transport.lane.connection import FrameConnection
from bellwire.transport.lane.frames import End, Kind
from bellwire.transport.serving.status import DETAILS_KEY

__all__ = ["Aborted", "LaneContext", "Rpc"]


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method, as gRPC's generic handlers know it."""

    behavior: Callable[[Any, Any], Awaitable[Any]]
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


class Aborted(Exception):
    """Ends an RPC from within its servicer."""

    def __init__(self, end: End) -> None:
        self.end = end
        super().__init__(end.details)


class LaneContext(BareContext):
    """What a servicer sees of an RPC of the lane."""

    def __init__(self, turns: Turns, connection: FrameConnection, rpc: Rpc, peer: Peer) -> None:
        super().__init__()
        self._turns = turns
        self._connection = connection
        self._rpc = rpc
        self.credentials = peer
        self.process = peer.pid or None  # 0 = one of another pid namespace, whichever.

    async def read(self) -> Any:
        """Return the next request, or EOF."""
        frame = await self._connection.read()
        if frame is None:
            raise asyncio.CancelledError  # As gRPC does when the peer is gone.
        kind, body = frame
        if kind == Kind.DATA:
            return self._rpc.parse(body)
        if kind == Kind.HALF_CLOSE:
            return grpc.aio.EOF
        raise unknown_frame(kind)

    async def write(self, message: Any) -> None:
        """Send a response."""
        if not await self._connection.write(Kind.DATA, self._rpc.serialize(message)):
            raise asyncio.CancelledError

    async def drive(self, conversation: Conversation) -> None:
        """Run a conversation by callbacks instead of `read` and `write`."""
        rpc = self._rpc
        driver = Driver(self._turns, self._connection, conversation, rpc.parse, rpc.serialize)
        await driver.run()

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the RPC."""
        status = dict(trailing_metadata).get(DETAILS_KEY, b"")
        raise Aborted(End(code.value[0], details, status))

    def peer(self) -> str:
        """Name the peer."""
        return f"unix:pid={self.credentials.pid},uid={self.credentials.uid}"

    def peer_identities(self) -> Iterable[bytes] | None:
        """Return the user, which the kernel vouches for."""
        return (str(self.credentials.uid).encode(),)

    def peer_identity_key(self) -> str | None:
        """Name what identities are made of."""
        return "uid"

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return the same as a mapping."""
        return {"uid": (str(self.credentials.uid).encode(),)}
