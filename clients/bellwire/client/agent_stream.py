"""An agent's own stream: registers it under a lease, brings its calls, takes results and load."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Self

from bellwire.agent.v1.agent_pb2 import Agent, LoadReport
from bellwire.client._agent_side import AgentSide
from bellwire.client._link import Link
from bellwire.client.agent_events import AgentEvent
from bellwire.client.settings import ClientSettings
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import BellwireError, ClosedError

__all__ = ["AgentStream"]

_log = logging.getLogger(__name__)

BEATS_PER_LEASE: Final = 3  # Two may be lost before the lease ends.


class AgentStream:
    """Iterate over it for calls and cancellations; made by `Client.agent_stream`.

    After a lost connection the agent registers again by itself. Calls do not outlive their stream:
    each that was not answered comes back as `CallCancelled`.
    """

    def __init__(
        self,
        pool: ChannelPool,
        settings: ClientSettings,
        agent: Agent,
        lease_seconds: float,
        on_close: Callable[[AgentStream], None] | None = None,
    ) -> None:
        self._where = f"agent stream of {agent.agent_id!r} at {pool.address}"
        self._settings = settings
        self._side = AgentSide(pool, settings, agent, lease_seconds)
        beat = min(settings.heartbeat_seconds, lease_seconds / BEATS_PER_LEASE)
        self._link = Link(self._side, pool, self._where, settings, beat)
        self._side.wake = self._link.wake
        self._link.on_change = self._say_change
        self._pool = pool
        self._agent_id = agent.agent_id
        self._on_close = on_close
        self._closed = False

    @property
    def dropped_results(self) -> int:
        """Results nobody waited for any more: their call was cancelled or its stream lost."""
        return self._side.dropped_results

    @property
    def streams_opened(self) -> int:
        """Times the agent registered; more than one means that connections were lost."""
        return self._link.streams_opened

    async def __aenter__(self) -> Self:
        """Register the agent.

        Raises:
            AgentExistsError: A live agent holds the id and did not go away in time.
            CallerError: The coordinator refused the registration; its class says why.
            UnreachableError: No coordinator answered in time.
        """
        if self._closed:
            raise ClosedError(f"{self._where} is closed: open a new one")
        self._link.start()
        try:
            await self._link.opened(self._settings.timeout_seconds)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        return self

    async def __anext__(self) -> AgentEvent:
        side = self._side
        while not side.events:
            if self._closed:
                raise StopAsyncIteration
            if side.failed is not None:
                raise side.failed
            side.changed.clear()
            await side.changed.wait()
        return side.events.popleft()

    async def send_load(self, report: LoadReport) -> None:
        """Tell how busy the agent is; only the latest report not sent yet is kept."""
        self._side.send_load(report)

    async def close(self) -> None:
        """Send the results that wait and end the lease."""
        if self._closed:
            return
        self._closed = True
        await self._link.close()
        self._side.changed.set()
        if self._on_close is not None:
            self._on_close(self)

    def _say_change(self, lost: BellwireError | None) -> None:
        """Log once for each change: whoever runs an agent wants to know when it cannot be called."""
        if lost is None:
            _log.info("agent %s is registered again at %s", self._agent_id, self._pool.address)
        else:
            _log.warning(
                "agent %s has lost the coordinator at %s and comes back by itself: %s",
                self._agent_id,
                self._pool.address,
                lost.message.removeprefix(f"{self._where}: "),
            )
