"""What an inference endpoint of an agent answers, also when it fails."""

import json

import pytest

from bellwire.agent.v1.agent_pb2 import CAPABILITY_KIND_INFERENCE, CAPABILITY_KIND_TOOL
from bellwire.agent.v1.inference_pb2 import InferRequest, InferResponse, Tensor
from bellwire.runtime import Agent, CallContext, inference, tool
from bellwire.runtime.dispatch import Dispatcher
from bellwire.runtime.errors import AgentDefinitionError, AgentSettingsError, UndecodableError
from bellwire.runtime.harness import AgentHarness
from bellwire.runtime.inference_call import REQUEST_TYPE, RESPONSE_TYPE, Endpoints
from bellwire.runtime.offer import Offer
from bellwire.runtime.registration import directory_entry
from bellwire.runtime.tool_call import RESULT_BYTES_MAX
from bellwire.wire.errors import AgentBusyError, AgentFailedError, PayloadTooLargeError

CONTEXT = CallContext("c-1", deadline_unix_nano=7)


class Models(Agent):
    """Endpoints of all sorts."""

    name = "models"
    default_settings = {"model": "tactical"}  # noqa: RUF012

    @inference("infer.{model}", title="Tactical", cache_seconds=2, outdated_by=("weights.>",))
    async def echo(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Tell who was asked, and until when.

        More text.
        """
        return InferResponse(answered_by=request.model, queue_micros=context.deadline_unix_nano)

    @inference("busy")
    async def busy(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Refuse."""
        raise AgentBusyError("full", retry_delay_seconds=0.5)

    @inference("broken")
    async def broken(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Fail."""
        raise LookupError("no weights")

    @inference("endless")
    async def endless(self, request: InferRequest, context: CallContext) -> InferResponse:
        """Answer too much."""
        return InferResponse(outputs=[Tensor(data=bytes(RESULT_BYTES_MAX))])

    @tool()
    async def count(self) -> int:
        """Count."""
        return 1


async def answer(name: str, arguments: bytes = b"", kind: str = REQUEST_TYPE) -> tuple[bytes, str]:
    return await Endpoints(Models()).answer(name, arguments, kind, CONTEXT)


async def test_a_protobuf_request_is_answered_in_protobuf() -> None:
    data, kind = await answer("infer.tactical", InferRequest(model="m").SerializeToString())
    assert kind == RESPONSE_TYPE == "application/x-protobuf; proto=bellwire.agent.v1.InferResponse"
    assert InferResponse.FromString(data) == InferResponse(answered_by="m", queue_micros=7)


async def test_a_json_request_is_answered_in_json() -> None:
    data, kind = await answer("infer.tactical", b'{"model": "m"}', "application/json")
    assert kind == "application/json"
    assert json.loads(data) == {"answered_by": "m", "queue_micros": "7"}


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(b"\xff", REQUEST_TYPE), (b"{", "application/json"), (b'{"moodel": 1}', "application/json")],
)
async def test_arguments_that_are_no_request_are_refused(arguments: bytes, kind: str) -> None:
    with pytest.raises(
        UndecodableError, match=r"arguments of 'infer\.tactical' are no .*InferRequest"
    ):
        await answer("infer.tactical", arguments, kind)


async def test_an_error_of_the_bus_keeps_its_class_and_its_delay() -> None:
    with pytest.raises(AgentBusyError) as caught:
        await answer("busy")
    assert caught.value.retry_delay_seconds == 0.5


async def test_any_other_exception_is_a_failure_of_the_agent_that_says_what_it_was() -> None:
    with pytest.raises(
        AgentFailedError, match="'broken' of agent 'models-0' raised LookupError: no weights"
    ):
        await answer("broken")


async def test_an_answer_above_what_a_call_carries_is_refused_with_both_sizes() -> None:
    with pytest.raises(PayloadTooLargeError, match="limit is 1048576: ask with fewer rows"):
        await answer("endless")


def test_endpoints_are_registered_under_the_name_that_the_settings_give() -> None:
    capabilities = directory_entry(Dispatcher(Models({"model": "strategic"})), 1).capabilities
    by_name = {each.name: each for each in capabilities}
    assert list(by_name) == ["count", "infer.strategic", "busy", "broken", "endless"]
    assert by_name["count"].kind == CAPABILITY_KIND_TOOL
    endpoint = by_name["infer.strategic"]
    assert (endpoint.kind, endpoint.title) == (CAPABILITY_KIND_INFERENCE, "Tactical")
    assert endpoint.description == "Tell who was asked, and until when."
    assert (endpoint.cache.ttl_millis, list(endpoint.cache.outdated_by)) == (2_000, ["weights.>"])
    assert not by_name["busy"].HasField("cache")


@pytest.mark.parametrize("name", ["count", "busy"])
def test_a_name_that_is_offered_twice_is_refused(name: str) -> None:
    class Twice(Models):
        @inference(name)
        async def other(self, request: InferRequest, context: CallContext) -> InferResponse:
            return InferResponse()

    with pytest.raises(AgentDefinitionError, match=f"offers '{name}' twice"):
        Endpoints(Twice())


def test_a_setting_that_makes_no_name_is_refused() -> None:
    with pytest.raises(AgentDefinitionError, match=r"'infer\.no good'"):
        Endpoints(Models({"model": "no good"}))


def test_a_template_of_an_unknown_setting_is_refused() -> None:
    class Lost(Agent):
        name = "lost"

        @inference("{nowhere}")
        async def infer(self, request: InferRequest, context: CallContext) -> InferResponse:
            return InferResponse()

    with pytest.raises(AgentSettingsError, match=r"'\{nowhere\}' of agent 'lost' cannot be filled"):
        Endpoints(Lost())


def test_an_endpoint_takes_a_request_and_a_context() -> None:
    with pytest.raises(AgentDefinitionError, match=r"must take \(self, request, context\)"):

        class Short(Agent):
            name = "short"

            @inference("short")
            async def infer(self, request: InferRequest) -> InferResponse:
                return InferResponse()


async def test_the_harness_asks_an_endpoint() -> None:
    harness = AgentHarness(Models())
    answered = await harness.infer("infer.tactical", InferRequest(model="m"))
    assert answered.answered_by == "m"


class ManyNamed(Models):
    """Learns names when it starts."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt: tuple[str, ...] = ()

    def endpoint_names(self, method: str) -> tuple[str, ...]:
        return self.learnt if method == "echo" else ()


async def test_an_endpoint_has_the_names_that_its_agent_has_learnt_beside_its_own() -> None:
    agent = ManyNamed()
    offer = Offer(agent)
    agent.learnt = ("infer.strategic", "infer.tactical")
    assert "infer.strategic" not in offer
    offer.read_names()
    assert "infer.strategic" in offer
    names = [each.name for each in offer.capabilities()]
    assert names == ["count", "infer.tactical", "infer.strategic", "busy", "broken", "endless"]
    data, _ = await Endpoints(agent).answer("infer.strategic", b"", REQUEST_TYPE, CONTEXT)
    assert InferResponse.FromString(data).queue_micros == 7


def test_a_learnt_name_that_another_capability_has_is_refused() -> None:
    agent = ManyNamed()
    agent.learnt = ("count",)
    with pytest.raises(AgentDefinitionError, match="offers 'count' twice"):
        Endpoints(agent)
