"""bellwire.client._link: what is told of a line."""

from __future__ import annotations

from bellwire.agent.v1.agent_pb2 import Agent, ConnectRequest, ConnectResponse
from bellwire.client import ClientSettings
from bellwire.client._agent_side import AgentSide
from bellwire.client._link import Link
from bellwire.client._link_state import LinkState
from bellwire.transport.address import Address
from bellwire.transport.channel import ChannelPool
from bellwire.wire.errors import BellwireError, PayloadTooLargeError


class Scripted(Link[ConnectRequest, ConnectResponse]):
    """A line whose streams open and end as its test says."""

    ends: list[BellwireError]

    async def _attempt(self) -> BellwireError:
        self._move(LinkState.CONNECTING)
        self._opened_now(0.0)
        return self.ends.pop(0)


async def told_of(*ends: BellwireError) -> list[BellwireError | None]:
    """Run a line whose streams end so; return what was told of it."""
    settings = ClientSettings()
    pool = ChannelPool(Address(path="/nowhere.sock"), settings.transport)
    link = Scripted(
        AgentSide(pool, settings, Agent(agent_id="models-1"), 3.0), pool, "line", settings, 1.0
    )
    link.ends = list(ends)
    told: list[BellwireError | None] = []
    link.on_change = told.append
    try:
        await link._run()
    finally:
        await pool.close()
    return told


async def test_a_line_that_fails_for_good_is_not_told_as_one_that_comes_back() -> None:
    assert await told_of(PayloadTooLargeError("a frame holds 5 MiB, limit is 4 MiB")) == []
