"""Whether a server can be reached, and when it can again: one connection asks for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import grpc

__all__ = ["LOOK_SECONDS", "Reachability"]

LOOK_SECONDS: Final = 0.05  # Between two looks while one of several servers is sought.


def _never() -> bool:
    """There is one server."""
    return False


def _nothing() -> None:
    """Nobody listens."""


class Reachability:
    """Watches one channel and keeps it connected.

    After an outage everyone who waits hears of its end at once, instead of each trying a connection
    of its own in growing intervals. gRPC spaces and jitters the attempts of the one that asks.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        has_choice: Callable[[], bool] = _never,
        on_failure: Callable[[], object] = _nothing,
    ) -> None:
        """Begin to watch; `close` ends it.

        Args:
            channel: What to watch.
            has_choice: Tells whether the channel may be led elsewhere.
            on_failure: Called, where there is a choice, again and again while nobody can be reached.
        """
        self._channel = channel
        self._has_choice = has_choice
        self._on_failure = on_failure
        self._changed = asyncio.Event()
        self._outages_ended = 0
        self._connected = self._look() is grpc.ChannelConnectivity.READY
        self._task = asyncio.create_task(self._watch(), name="bellwire reachability")

    @property
    def is_connected(self) -> bool:
        """Whether the connection stood when last heard of."""
        return self._connected

    async def restored(self) -> None:
        """Wait until the server has been out of reach and is back; at once out of reach: until it is back."""
        before = self._outages_ended
        while self._outages_ended == before:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stop watching; the channel stays."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _look(self) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect=True)

    async def _watch(self) -> None:
        state = self._look()
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            connected = state is grpc.ChannelConnectivity.READY
            if connected and not self._connected:
                self._outages_ended += 1
                self._changed.set()
            self._connected = connected
            await self._change_of(state)
            state = self._look()

    async def _change_of(self, state: grpc.ChannelConnectivity) -> None:
        """Wait until there may be another state."""
        if state is not grpc.ChannelConnectivity.READY and self._has_choice():
            # Looked at instead of waited for: gRPC tells of the first of many failures only, and keeps a wait
            # that is given up until the end of the channel.
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                self._on_failure()
            await asyncio.sleep(LOOK_SECONDS)
            return
        with contextlib.suppress(RuntimeError):  # The channel was led elsewhere under the wait.
            await self._channel.wait_for_state_change(state)
