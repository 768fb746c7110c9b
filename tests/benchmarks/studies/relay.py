"""An agent that publishes again what it receives: the least an agent can do with a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.benchmarks.peers.bellwire import settings_at
from tests.benchmarks.roles import BrokerRole, Reply
from tests.benchmarks.studies.traced import RELAYED_TOPIC, TOPIC

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client import connect
from bellwire.runtime import Agent, AgentRunner, MessageContext, Outputs, Publication, subscribe

READY_SECONDS_MAX: Final = 10.0
RELAYED_TYPE: Final = "bench.Relayed"


class Relay(Agent):
    """Hands each payload on."""

    name = "relay"
    publishes = (RELAYED_TOPIC,)

    @subscribe(TOPIC, Message)
    async def on_message(self, message: Message, context: MessageContext) -> Outputs:
        """Give the same payload."""
        del context
        return Publication(RELAYED_TOPIC, message.data, type=RELAYED_TYPE)


@asynccontextmanager
async def open_relay(*, address: str) -> AsyncIterator[tuple[BrokerRole, Reply]]:
    """Run the agent; as a broker it stands between and takes no commands."""
    async with connect(address, settings_at(address)) as client:
        runner = AgentRunner(Relay(), client)
        task = asyncio.create_task(runner.run())
        try:
            await asyncio.wait_for(runner.ready.wait(), READY_SECONDS_MAX)
            yield BrokerRole(), {}
        finally:
            runner.stop()
            await asyncio.wait([task])
