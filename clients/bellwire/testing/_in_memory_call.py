"""One RPC that never leaves the process, as the client sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from bellwire.coordinator.services.context import Metadata
from bellwire.testing._in_memory_context import Aborted, InMemoryContext, Rpc
from bellwire.testing._pipe import Pipe


def rpc_error(code: grpc.StatusCode, details: str, trailers: Metadata = ()) -> grpc.aio.AioRpcError:
    """Return what gRPC would raise."""
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details, None
    )


async def unary(rpc: Rpc, request: bytes, timeout_seconds: float | None) -> bytes:
    """Run a unary RPC to its end.

    Raises:
        grpc.aio.AioRpcError: It ended with a status other than OK.
    """
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    context = InMemoryContext(Pipe(), Pipe(), rpc, deadline)
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.sleep(0)  # An RPC always lets others run: loops that poll depend on it.
            response = await rpc.behavior(rpc.parse(request), context)
    except TimeoutError:
        raise rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
    except Aborted as aborted:
        raise rpc_error(aborted.code, aborted.details, aborted.trailers) from None
    return rpc.serialize(response)


class InMemoryStream(grpc.aio.StreamStreamCall[Any, Any]):
    """A streaming RPC, with one request or many; its servicer runs in a task of its own.

    Behaves as a gRPC call does where the client depends on it: a write after the end raises
    InvalidStateError, a read after a failure AioRpcError, and one after `cancel` CancelledError.
    """

    def __init__(
        self,
        rpc: Rpc,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
        request: Any = None,
    ) -> None:
        self._serialize = serialize
        self._parse = parse
        self._requests = Pipe()
        self._responses = Pipe()
        self._error: grpc.aio.AioRpcError | None = None
        self._cancelled = False
        context = InMemoryContext(self._requests, self._responses, rpc, None)
        self.task = asyncio.create_task(self._serve(rpc, request, context), name="in-memory stream")

    async def _serve(self, rpc: Rpc, request: Any, context: InMemoryContext) -> None:
        try:
            await rpc.behavior(request, context)
        except Aborted as aborted:
            self._error = rpc_error(aborted.code, aborted.details, aborted.trailers)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - as gRPC does, whatever the servicer raises
            self._error = rpc_error(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
        finally:
            self._responses.end()
            self._requests.cut()

    async def write(self, request: Any) -> None:
        """Send a request."""
        if self.task.done():
            raise asyncio.InvalidStateError("RPC already finished.")
        await self._requests.put(self._serialize(request))

    async def read(self) -> Any:
        """Return the next response, or EOF."""
        frame = await self._responses.get()
        if frame is not None:
            return self._parse(frame)
        if self._cancelled:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        return grpc.aio.EOF

    async def done_writing(self) -> None:
        """End the requests."""
        if self.task.done():
            raise asyncio.InvalidStateError("RPC already finished.")
        self._requests.end()

    def cancel(self) -> bool:
        """End the RPC from this side."""
        if self.task.done():
            return False
        self._cancelled = True
        self._end()
        return True

    def disconnect(self) -> None:
        """End the RPC as a broken connection does; what is under way is lost."""
        if not self.task.done():
            self._error = rpc_error(grpc.StatusCode.UNAVAILABLE, "connection cut by the test")
            self._end()

    def _end(self) -> None:
        self._requests.cut()
        self._responses.cut()
        self.task.cancel()

    def cancelled(self) -> bool:
        """Tell whether `cancel` ended it."""
        return self._cancelled

    def done(self) -> bool:
        """Tell whether it has ended."""
        return self.task.done()

    def __aiter__(self) -> AsyncIterator[Any]:
        raise NotImplementedError("use read()")

    def time_remaining(self) -> float | None:
        """Streams have no deadline."""
        return None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back at the end."""
        self.task.add_done_callback(lambda _: callback(self))

    async def initial_metadata(self) -> Any:
        """Return none."""
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> Any:
        """Return what came with the status."""
        return self._error.trailing_metadata() if self._error else grpc.aio.Metadata()

    async def code(self) -> grpc.StatusCode:
        """Return the status; waits for the end."""
        await self._ended()
        return self._error.code() if self._error else grpc.StatusCode.OK

    async def details(self) -> str:
        """Return the status text; waits for the end."""
        await self._ended()
        return (self._error.details() or "") if self._error else ""

    async def _ended(self) -> None:
        if not self.task.done():  # As with gRPC, a call that is done answers without a wait.
            await asyncio.wait([self.task])

    async def wait_for_connection(self) -> None:
        """It is always connected."""
