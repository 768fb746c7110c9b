"""A channel that can be moved to another coordinator under the stubs and streams that hold it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc

from bellwire.policy.backoff import Backoff
from bellwire.transport.address import Address
from bellwire.transport.reachability import LOOK_SECONDS
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import NotOwnerError

__all__ = ["OWNER_PAUSE_SECONDS", "Guide", "MovableChannel"]

# First and longest bound of the jittered pause before a coordinator is asked again that is not active: short
# against a take-over, long against a round trip.
OWNER_PAUSE_SECONDS: Final = (0.05, 0.25)
UNBOUNDED_SECONDS: Final = 10.0  # How long a call without a deadline follows from one to the next.


class Guide(Protocol):
    """Knows which coordinator is the right one; a `ChannelPool`."""

    @property
    def address(self) -> Address:
        """Where the channels lead now."""
        ...

    @property
    def has_choice(self) -> bool:
        """Whether they may be moved to somewhere else."""
        ...

    def is_foreign(self, error: NotOwnerError) -> bool:
        """Tell whether a refusal is about a topic of another group."""
        ...

    def refused(self, place: Address, error: NotOwnerError) -> bool:
        """Take note that a coordinator is not the active one; True = the channels were moved."""
        ...


class MovableChannel(grpc.aio.Channel):
    """Passes on to a channel that may be replaced.

    Unary calls follow NOT_OWNER by themselves within their deadline, for nothing was done where it was said.
    Streams end with it, and whoever opens the next one finds it led elsewhere.

    Args:
        make: Opens a channel to where the guide says.
        guide: Told of refusals.
    """

    def __init__(self, make: Callable[[], grpc.aio.Channel], guide: Guide) -> None:
        self._make = make
        self._guide = guide
        self._inner = make()
        self._methods: dict[str, Any] = {}

    def move(self) -> grpc.aio.Channel:
        """Lead elsewhere from now on; return the channel of before, which is to be closed."""
        before, self._inner = self._inner, self._make()
        self._methods = {}
        return before

    # ------------------------------------------------------------ calls

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """Return the callable of a unary RPC; what it returns is to be awaited."""

        async def call(
            request: Any,
            *,
            timeout: float | None = None,  # noqa: ASYNC109 - gRPC's own name
            wait_for_ready: bool | None = None,
            **named: Any,
        ) -> Any:
            clock = asyncio.get_running_loop().time
            deadline = None if timeout is None else clock() + timeout
            follow_until = clock() + UNBOUNDED_SECONDS if deadline is None else deadline
            pauses = Backoff(*OWNER_PAUSE_SECONDS)
            while True:
                if wait_for_ready and self._guide.has_choice:
                    await self._ready(follow_until)
                place = self._guide.address
                inner = self._methods.get(method)
                if inner is None:
                    inner = self._methods[method] = self._inner.unary_unary(
                        method, request_serializer, response_deserializer
                    )
                left = None if deadline is None else max(0.001, deadline - clock())
                try:
                    return await inner(
                        request, timeout=left, wait_for_ready=wait_for_ready, **named
                    )
                except grpc.aio.AioRpcError as error:
                    if not self._follows(error, place) or clock() >= follow_until:
                        raise
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is None or task.cancelling() or place == self._guide.address:
                        raise
                    raise _given_up(place) from None
                await asyncio.sleep(pauses.next_delay())

        return call

    def _follows(self, error: grpc.aio.AioRpcError, place: Address) -> bool:
        """Tell whether a coordinator said that it is not the active one, and have the guide know.

        Not for a topic of another group, which these channels do not lead to: whoever asked goes there.
        """
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return False
        rebuilt = error_from_rpc(error)
        if not isinstance(rebuilt, NotOwnerError):
            return False
        self._guide.refused(place, rebuilt)
        return not self._guide.is_foreign(rebuilt)

    async def _ready(self, until: float) -> None:
        """Wait for a connection to any of the coordinators, so that a move in between cuts off no request."""
        try:
            async with asyncio.timeout_at(until):
                await self.channel_ready()
        except TimeoutError:
            pass  # The call says so in its own words.

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a server stream."""
        return lambda *a, **n: self._inner.unary_stream(*arguments, **named)(*a, **n)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a client stream."""
        return lambda *a, **n: self._inner.stream_unary(*arguments, **named)(*a, **n)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        """Return the callable of a bidirectional RPC."""
        return lambda *a, **n: self._inner.stream_stream(*arguments, **named)(*a, **n)

    # ------------------------------------------------------------ the connection

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the channel of now."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until that changes; a move, which closes the channel of before, is a change."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait for a connection, wherever it leads."""
        if not self._guide.has_choice:
            await self._inner.channel_ready()
            return
        while (state := self.get_state(True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.SHUTDOWN:
                raise grpc.aio.UsageError("the channel is closed")
            await asyncio.sleep(LOOK_SECONDS)  # Reachability leads it elsewhere meanwhile.

    async def close(self, grace: float | None = None) -> None:
        """Close the channel of now."""
        await self._inner.close(grace)

    async def __aenter__(self) -> MovableChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _given_up(place: Address) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        f"{place} does not answer any more, another coordinator is tried; whether it has done it is unknown",
    )
