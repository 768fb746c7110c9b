"""Who asks the model of an agent: by calls, and by messages on a topic whose answers come on another."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, Self

from tests.benchmarks.peers.bellwire import settings_at
from tests.benchmarks.roles import Reply
from tests.benchmarks.studies.inference_bus_table import CALLS, TOPICS
from tests.benchmarks.studies.inference_load import Ask, closed_loop
from tests.benchmarks.tactical_models import Rows

from bellwire.agent.v1.inference_pb2 import InferResponse
from bellwire.agents.inference import InferenceRequest, InferenceResult
from bellwire.agents.inference.bus_endpoint import BusEndpoint
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.client import Client, Subscription, connect
from bellwire.client.publisher import Publisher

MODEL: Final = "tactical"
OBSERVATIONS_TOPIC: Final = "observations.bench"
RESULTS_TOPIC: Final = "results.bench"
SOURCE: Final = "bench/caller"


class TopicEndpoint:
    """Publishes observations and hands each answer to who waits for it; an answer has its question's key."""

    def __init__(self, publisher: Publisher, results: Subscription) -> None:
        self._publisher = publisher
        self._results = results
        self._waiting: dict[str, asyncio.Future[InferenceResult]] = {}
        self._asked = 0
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        assert self._reading is not None
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Publish one batch and wait for what came of it."""
        key, self._asked = str(self._asked), self._asked + 1
        self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._publisher.publish(OBSERVATIONS_TOPIC, from_request(request), key=key)
            return await self._waiting[key]
        finally:
            del self._waiting[key]

    async def _read(self) -> None:
        async for message in self._results:
            result = to_result(InferResponse.FromString(message.data))
            waiting = self._waiting.get(message.key)
            if waiting is not None and not waiting.done():
                waiting.set_result(result)


class CallerRole:
    """Asks as it is told."""

    def __init__(self, ways: Mapping[str, Ask]) -> None:
        self._ways = ways

    async def do(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        """Run `ask`."""
        if command != "ask":
            raise ValueError(f"a caller cannot {command!r}")
        return await self._ask(**arguments)

    async def _ask(
        self, *, way: str, in_flight: int, warm_up_seconds: float, seconds: float
    ) -> Reply:
        asks = [self._ways[way]] * in_flight
        return await closed_loop(asks, warm_up_seconds=warm_up_seconds, seconds=seconds)


@asynccontextmanager
async def open_inference_caller(*, address: str) -> AsyncIterator[tuple[CallerRole, Reply]]:
    """Connect."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(address, settings=settings_at(address)))
        topics = await stack.enter_async_context(await _topics(client, stack))
        calls = BusEndpoint(client, f"infer.{MODEL}")
        yield CallerRole({CALLS: _asker(calls), TOPICS: _asker(topics)}), {}


async def _topics(client: Client, stack: AsyncExitStack) -> TopicEndpoint:
    results = await stack.enter_async_context(client.subscribe(RESULTS_TOPIC))
    return TopicEndpoint(client.publisher(SOURCE), results)


def _asker(endpoint: BusEndpoint | TopicEndpoint) -> Ask:
    async def ask(rows: Rows) -> int:
        result = await endpoint.infer(InferenceRequest(MODEL, rows))
        return len(result.outputs["probabilities"])

    return ask
