"""What a servicer sees of an RPC that never left the process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from bellwire.coordinator.services.context import BareContext, Metadata
from bellwire.testing._pipe import Pipe


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


class InMemoryContext(BareContext):
    """Reads and writes pipes; holds trailers and the deadline. What no servicer of ours uses raises."""

    def __init__(
        self,
        requests: Pipe,
        responses: Pipe,
        rpc: Rpc,
        deadline: float | None,
    ) -> None:
        super().__init__()
        self._requests = requests
        self._responses = responses
        self._rpc = rpc
        self._deadline = deadline

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

    def time_remaining(self) -> Any:
        """Return the seconds to the deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def peer(self) -> str:
        """Name the peer."""
        return "memory:"
