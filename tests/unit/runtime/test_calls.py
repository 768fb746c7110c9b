"""Every call is answered, whatever its method does."""

import asyncio

import pytest

from bellwire.agent.v1.agent_pb2 import Call, CallResult
from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse
from bellwire.client.agent_events import IncomingCall
from bellwire.runtime import Agent, CallContext, inference
from bellwire.runtime.call_context import CallContext as Context
from bellwire.runtime.calls import CallDesk
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.load import LoadMeter
from bellwire.runtime.offer import Answer, Offer


class Forgetful(Agent):
    """Returns nothing."""

    name = "forgetful"

    @inference("infer.nothing")
    async def nothing(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Forget to return."""
        return None  # type: ignore[return-value]  # that it is caught is the point


class Sink:
    """Takes one answer."""

    def __init__(self) -> None:
        self.told: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()

    async def send_result(self, call: IncomingCall, result: CallResult) -> bool:
        self.told.set_result(result)
        return True


class BrokenOffer(Offer):
    """Meets a fault of our own."""

    async def answer(self, call: Call, context: Context) -> Answer:
        raise LookupError("of our own")


async def told(offer: Offer) -> tuple[CallResult, RunCounters]:
    sink, counters = Sink(), RunCounters()
    desk = CallDesk(offer, "a-0", LoadMeter(counters), counters, calls_max=10, timeout_seconds=5)
    call = Call(call_id="1", capability="infer.nothing")
    await desk.take(IncomingCall(call, 1, sink))
    async with asyncio.timeout(5):
        result = await sink.told
        await desk.close()
    return result, counters


async def test_an_endpoint_that_returns_nothing_is_answered_with_a_failure() -> None:
    result, counters = await told(Offer(Forgetful()))
    assert result.error.reason == "AGENT_FAILED"
    assert "returned NoneType, expected an InferResponse" in result.error.message
    assert (counters.calls, counters.call_errors) == (1, 1)


async def test_a_fault_of_our_own_is_answered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result, counters = await told(BrokenOffer(Forgetful()))
    assert result.error.reason == "AGENT_FAILED"
    assert "met LookupError: of our own" in result.error.message
    assert "call of infer.nothing could not be answered" in caplog.text
    assert counters.call_errors == 1
