"""A term: the RPCs that a coordinator serves while it is active, and their common end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from bellwire.transport.serving.handlers import Behavior
from bellwire.transport.serving.status import ServicerContext
from bellwire.wire.errors import BellwireError, NotOwnerError, PeerError

__all__ = ["Term"]

END_SECONDS: Final = (
    2.0  # For RPCs that are cancelled to clean up; who takes longer is left behind.
)


class Term:
    """Refuses RPCs while it may not serve, and ends those under way when it is over.

    Args:
        check: Raises what an RPC is refused with, if it is to be.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._over: NotOwnerError | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def guard(self, behavior: Behavior, method: MethodDescriptor) -> Behavior:
        """Return what stands around the behaviour of an RPC."""
        streams = method.client_streaming or method.server_streaming
        rpc = method.full_name

        async def serve(request: Any, context: ServicerContext) -> Message | None:
            self._check()
            task = asyncio.current_task()
            assert task is not None, "gRPC and the lane run each RPC in a task"
            self._tasks.add(task)
            try:
                return await behavior(request, context)
            except asyncio.CancelledError:
                if self._over is None:
                    raise
                task.uncancel()
                raise self._end_of(streams, rpc) from None
            finally:
                self._tasks.discard(task)

        return serve

    async def end(self, error: NotOwnerError) -> None:
        """End every RPC: streams with this error, and others with one that says that their fate is unknown."""
        self._over = error
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=END_SECONDS)

    def _end_of(self, streams: bool, rpc: str) -> BellwireError:
        assert self._over is not None
        if streams:
            return NotOwnerError(self._over.message, metadata=self._over.metadata)
        return PeerError(
            f"{rpc}: {self._over.message}; it was under way, and whether it was carried out is unknown",
            metadata=self._over.metadata,
        )
