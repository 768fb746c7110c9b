"""A model as an agent: asked by calls and by messages, on a real coordinator and on the bus in memory."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import numpy as np
import pytest
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_INFERENCE
from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.agent.v1.invocation_pb2 import CACHE_LEVEL_MEMORY
from bellwire.agents.inference import (
    Endpoint,
    EngineFailedError,
    InferenceRequest,
    InvalidTensorError,
    UnknownModelError,
)
from bellwire.agents.inference.agent import InferenceAgent
from bellwire.agents.inference.bus_endpoint import BusEndpoint
from bellwire.agents.inference.kserve import KserveListenError
from bellwire.agents.inference.wire import from_request, to_result
from bellwire.client import Client, DeadlineExceededError, NoCapableAgentError, connect
from bellwire.runtime import AgentRunner, CallContext, RunSettings, inference
from bellwire.runtime.inference_call import REQUEST_TYPE
from bellwire.testing import InMemoryBus, running_coordinator
from bellwire.wire.errors import AgentBusyError, AgentFailedError, ClosedError
from bellwire.wire.settings import SettingsError

pytestmark = pytest.mark.integration

RUN = RunSettings(load_every_seconds=0.02)
CAPABILITY = "infer.tactical"
ROWS = 100
Connect = Callable[[], Client]


class Tactical(InferenceAgent):
    """Serves the small model of the tests."""

    def __init__(self, endpoint: LinearEndpoint, **settings: object) -> None:
        super().__init__({"model": "tactical", **settings})
        self.endpoint = endpoint
        self.is_opened = False
        self.is_closed = False

    async def open_endpoint(self, stack: AsyncExitStack) -> Endpoint:
        """Hand the endpoint of the test over."""
        self.is_opened = True
        stack.callback(self._note_closed)
        return self.endpoint

    def _note_closed(self) -> None:
        self.is_closed = True


class CachedTactical(Tactical):
    """The same for a model that does not change while it is served."""

    @inference("infer.{model}", cache_seconds=60)
    async def infer(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Answer, and let the coordinator answer the same again."""
        return await super().infer(request, context)


@pytest.fixture(params=["socket", "memory"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Returns a new client of one bus each time it is called."""
    if request.param == "memory":
        yield InMemoryBus().client
        return
    async with running_coordinator() as running:
        yield lambda: connect(running.unix)


@pytest.fixture
async def client(server: Connect) -> AsyncIterator[Client]:
    async with server() as connected:
        yield connected


@pytest.fixture
def endpoint() -> LinearEndpoint:
    return LinearEndpoint()


@asynccontextmanager
async def running(server: Connect, agent: Tactical) -> AsyncIterator[None]:
    """Run the agent on a connection of its own until the block ends."""
    async with server() as connected:
        runner = AgentRunner(agent, connected, RUN)
        task = asyncio.create_task(runner.run())
        ready = asyncio.create_task(runner.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield
        runner.stop()
        await task


def asking(rows: int = 2, **fields) -> InferenceRequest:
    return InferenceRequest("tactical", {"x": observations(rows)}, **fields)


async def test_a_call_brings_what_the_model_computes(server, client, endpoint):
    agent = Tactical(endpoint)
    async with running(server, agent):
        remote = BusEndpoint(client, CAPABILITY)
        result = await remote.infer(asking(ROWS, version=1, key="EURUSD", priority=3))
        here = await endpoint.infer(asking(ROWS, version=1))
    np.testing.assert_array_equal(result.outputs["p"], here.outputs["p"])
    assert (result.answered_by, result.quantization) == ("tactical:1", "int8-static")
    assert (result.batch_size, result.is_cached) == (ROWS, False)
    asked = endpoint.requests[0]
    assert (asked.version, asked.key, asked.priority) == (1, "EURUSD", 3)
    assert agent.is_closed


async def test_the_deadline_of_a_call_reaches_the_model(server, client, endpoint):
    async with running(server, Tactical(endpoint)):
        await BusEndpoint(client, CAPABILITY, timeout_seconds=30).infer(asking())
        left = endpoint.requests[0].deadline_seconds - time.monotonic()
    assert 20 < left < 31  # gRPC rounds up


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        (InferenceRequest("tactical", {"x": observations()[:, :3]}), InvalidTensorError, "shape"),
        (
            InferenceRequest("tactical", {"x": np.full((3, 4), np.nan, "<f4")}),
            InvalidTensorError,
            "NaN or infinite in row 0",
        ),
        (InferenceRequest("ghost", {"x": observations()}), UnknownModelError, "'ghost' is unknown"),
        (asking(version=9), UnknownModelError, "'tactical:9' is unknown"),
    ],
    ids=["wrong shape", "NaN", "unknown model", "unknown version"],
)
async def test_a_call_fails_with_the_class_and_the_words_of_the_agent(
    server, client, endpoint, request_, error, says
):
    async with running(server, Tactical(endpoint)):
        remote = BusEndpoint(client, CAPABILITY)
        with pytest.raises(error, match=says):
            await remote.infer(request_)
        assert (await remote.infer(asking())).answered_by == "tactical:2"


async def test_an_engine_that_raises_fails_the_call_and_serves_the_next(server, client, endpoint):
    endpoint.failures = [ZeroDivisionError("no variance"), EngineFailedError("tactical:2", "oom")]
    async with running(server, Tactical(endpoint)):
        remote = BusEndpoint(client, CAPABILITY)
        with pytest.raises(AgentFailedError, match="ZeroDivisionError: no variance"):
            await remote.infer(asking())
        with pytest.raises(EngineFailedError, match="oom"):
            await remote.infer(asking())
        assert (await remote.infer(asking())).answered_by == "tactical:2"


async def test_a_full_queue_is_told_with_its_delay(server, client, endpoint):
    endpoint.failures = [AgentBusyError("full", retry_delay_seconds=0.25)]
    async with running(server, Tactical(endpoint)):
        with pytest.raises(AgentBusyError) as caught:
            await BusEndpoint(client, CAPABILITY).infer(asking())
    assert caught.value.retry_delay_seconds == 0.25


async def test_a_model_that_hangs_costs_the_callers_deadline(server, client, endpoint):
    endpoint.gate.clear()
    async with running(server, Tactical(endpoint)):
        with pytest.raises(DeadlineExceededError):
            await BusEndpoint(client, CAPABILITY, timeout_seconds=0.1).infer(asking())
        endpoint.gate.set()
        assert (await BusEndpoint(client, CAPABILITY).infer(asking())).batch_size == 2


async def test_a_client_that_is_closed_under_a_call_ends_it_with_an_error(endpoint):
    endpoint.gate.clear()
    async with (
        running_coordinator() as coordinator,
        running(lambda: connect(coordinator.unix), Tactical(endpoint)),
    ):
        async with connect(coordinator.unix) as closing:
            under_way = asyncio.create_task(BusEndpoint(closing, CAPABILITY).infer(asking()))
            await endpoint.until_asked()
        await asyncio.wait([under_way], timeout=10)
        endpoint.gate.set()
    with pytest.raises(ClosedError, match=r"while it waited for the answer to 'infer\.tactical'"):
        under_way.result()


async def test_a_deadline_that_is_past_is_not_called(client):
    with pytest.raises(DeadlineExceededError, match=r"before 'infer\.tactical' was called"):
        await BusEndpoint(client, CAPABILITY).infer(asking(deadline_seconds=time.monotonic() - 1))


async def test_without_an_agent_the_call_says_so(client):
    with pytest.raises(NoCapableAgentError):
        await BusEndpoint(client, CAPABILITY, timeout_seconds=1).infer(asking())


async def test_who_asks_in_json_is_answered_in_json(server, client, endpoint):
    tensor = {
        "name": "x",
        "type": "TENSOR_TYPE_FP32",
        "shape": [1, 4],
        "data": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with running(server, Tactical(endpoint)):
        reply = await client.call(CAPABILITY, {"inputs": [tensor]})
    answer = reply.json()
    assert answer["answered_by"] == "tactical:2"
    assert answer["outputs"][0]["shape"] == [1, 3]


async def test_equal_calls_of_a_cacheable_endpoint_are_computed_once(server, client, endpoint):
    async with running(server, CachedTactical(endpoint)):
        remote = BusEndpoint(client, CAPABILITY)
        first, again = await remote.infer(asking()), await remote.infer(asking())
        other = await remote.infer(asking(3))
        reply = await client.call(
            CAPABILITY, from_request(asking()).SerializeToString(), content_type=REQUEST_TYPE
        )
    assert (first.is_cached, again.is_cached, other.is_cached) == (False, True, False)
    assert reply.cache_level == CACHE_LEVEL_MEMORY
    np.testing.assert_array_equal(first.outputs["p"], again.outputs["p"])
    assert len(endpoint.requests) == 2


async def test_an_endpoint_is_no_tool(server, client, endpoint):
    async with running(server, Tactical(endpoint)):
        assert await client.list_tools() == []


async def test_a_stream_of_batches_is_answered_in_order_with_errors_in_their_places(
    server, client, endpoint
):
    agent = Tactical(endpoint, observations_topic="observations.>", results_topic="results")
    good = from_request(asking(ROWS))
    bad = from_request(InferenceRequest("tactical", {"x": observations(1)[:, :2]}))
    late = from_request(asking())
    late.deadline_unix_nano = time.time_ns() - 1_000_000_000
    async with running(server, agent), client.subscribe("results") as results:
        publisher = client.publisher("feed")
        for message in (good, bad, late, good):
            await publisher.publish("observations.5m", message, key="EURUSD")
        answers = []
        async with asyncio.timeout(10):
            async for received in results:
                assert received.key == "EURUSD"
                answers.append(InferResponse.FromString(received.data))
                if len(answers) == 4:
                    break
    assert [answer.error.reason for answer in answers] == [
        "", "TENSOR_INVALID", "DEADLINE_EXCEEDED", "",
    ]  # fmt: skip
    assert to_result(answers[3]).outputs["p"].shape == (ROWS, 3)
    assert len(endpoint.requests) == 3


async def test_the_endpoint_is_in_the_directory_as_inference(server, client, endpoint):
    async with running(server, Tactical(endpoint)):
        (status,) = await client.admin.list_agents()
    (capability,) = status.agent.capabilities
    assert (capability.name, capability.kind) == (CAPABILITY, CAPABILITY_KIND_INFERENCE)


async def test_an_agent_serves_its_doors_from_ready_to_stop(server, endpoint):
    agent = Tactical(endpoint, kserve_grpc="127.0.0.1:0", kserve_http="127.0.0.1:0")
    async with running(server, agent):
        assert agent.doors is not None
        host, _, port = agent.doors.http_address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /v2/health/ready HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b'{"ready":true}')
        writer.close()
        await writer.wait_closed()
        async with grpc.aio.insecure_channel(agent.doors.grpc_address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_an_agent_whose_door_is_taken_does_not_start_and_closes_its_model(server, endpoint):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        agent = Tactical(endpoint, kserve_http=place)
        with pytest.raises(KserveListenError, match=f"'{place}' cannot be served"):
            async with running(server, agent):
                pass
    assert agent.is_closed


@pytest.mark.parametrize("door", ["kserve_grpc", "kserve_http"])
async def test_an_address_that_is_none_is_refused_before_the_model_is_opened(
    server, endpoint, door
):
    agent = Tactical(endpoint, **{door: "127.0.0.1:nowhere"})
    with pytest.raises(KserveListenError, match=r"'127\.0\.0\.1:nowhere' cannot be served"):
        async with running(server, agent):
            pass
    assert not agent.is_opened


@pytest.mark.parametrize("given", [{"observations_topic": "o"}, {"results_topic": "r"}])
def test_a_stream_has_a_topic_at_both_ends(given):
    with pytest.raises(SettingsError, match="a topic exactly where observations_topic is one"):
        InferenceAgent(given)
