"""What a servicer sees of an RPC that never left the process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from bellwire.testing._pipe import Pipe

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Rpc:
    """How a server runs one method."""

    behavior: Callable[[Any, Any], Awaitable[Any]]
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


class Aborted(Exception):
    """The servicer ended the RPC with a status."""

    def __init__(self, code: grpc.StatusCode, details: str, trailers: Metadata) -> None:
        self.code = code
        self.details = details
        self.trailers = trailers
        super().__init__(details)


class InMemoryContext(grpc.aio.ServicerContext[Any, Any]):
    """Reads and writes pipes; holds trailers and the deadline. What no servicer of ours uses raises."""

    def __init__(
        self,
        requests: Pipe,
        responses: Pipe,
        rpc: Rpc,
        deadline: float | None,
    ) -> None:
        self._requests = requests
        self._responses = responses
        self._rpc = rpc
        self._deadline = deadline
        self._trailers: Metadata = ()

    async def read(self) -> Any:
        """Return the next request, or EOF."""
        frame = await self._requests.get()
        return grpc.aio.EOF if frame is None else self._rpc.parse(frame)

    async def write(self, message: Any) -> None:
        """Send a response."""
        await self._responses.put(self._rpc.serialize(message))

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the RPC."""
        raise Aborted(code, details, tuple(trailing_metadata))

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Keep what is sent with the status."""
        self._trailers = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """Return what is sent with the status."""
        return self._trailers

    def time_remaining(self) -> Any:
        """Return the seconds to the deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def peer(self) -> str:
        """Name the peer."""
        return "memory:"

    def invocation_metadata(self) -> Any:
        """Return the request's metadata: none is sent."""
        return ()

    def peer_identities(self) -> Iterable[bytes] | None:
        """Nobody is authenticated here."""
        return None

    def peer_identity_key(self) -> str | None:
        """Nobody is authenticated here."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Nobody is authenticated here."""
        return {}

    async def abort_with_status(self, status: Any) -> NoReturn:
        """End the RPC."""
        await self.abort(status.code, status.details, status.trailing_metadata)

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """There is nobody to read it."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Statuses end RPCs by `abort` only."""
        raise NotImplementedError("end the RPC with abort()")

    def set_details(self, details: str) -> None:
        """Statuses end RPCs by `abort` only."""
        raise NotImplementedError("end the RPC with abort()")

    def set_compression(self, compression: grpc.Compression) -> None:
        """Nothing is compressed here."""

    def disable_next_message_compression(self) -> None:
        """Nothing is compressed here."""
