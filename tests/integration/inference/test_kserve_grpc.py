"""The gRPC door: asked as any client of the Open Inference Protocol would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agents.inference import EngineFailedError
from bellwire.agents.inference.endpoint import OfferedChain
from bellwire.agents.inference.kserve import KserveDoors, KserveListenError, contract
from bellwire.transport.status import error_from_rpc
from bellwire.wire.errors import AgentBusyError, BellwireError

pytestmark = pytest.mark.integration


class Stub:
    """Calls methods by their names."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        method = contract.SERVICE.methods_by_name[name]
        channel = self._channel
        make: Any = channel.stream_stream if method.client_streaming else channel.unary_unary
        return make(
            f"/inference.GRPCInferenceService/{name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=getattr(contract, method.output_type.name).FromString,
        )


@pytest.fixture
def endpoint() -> LinearEndpoint:
    return LinearEndpoint()


@pytest.fixture
async def stub(endpoint) -> AsyncIterator[Stub]:
    async with (
        KserveDoors(endpoint, grpc="127.0.0.1:0") as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        yield Stub(channel)


def asked(array: np.ndarray | None = None, raw: bool = True, **fields):
    array = observations() if array is None else array
    contents = None if raw else {"fp32_contents": array.ravel()}
    tensor = {"name": "x", "datatype": "FP32", "shape": array.shape, "contents": contents}
    given = {"model_name": "tactical", "inputs": [tensor], **fields}
    return contract.ModelInferRequest(**given, raw_input_contents=[array.tobytes()] if raw else [])


async def test_raw_tensors_are_answered_raw(stub):
    answer = await stub.ModelInfer(asked(id="7", model_version="1"))
    assert (answer.model_name, answer.model_version, answer.id) == ("tactical", "1", "7")
    p, action = answer.outputs
    assert (p.name, p.datatype, list(p.shape)) == ("p", "FP32", [2, 3])
    assert (action.name, action.datatype, list(action.shape)) == ("action", "INT64", [2])
    found = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(2, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert answer.parameters["answered_by"].string_param == "tactical:1"


async def test_listed_numbers_are_answered_listed_and_equal(stub):
    listed = await stub.ModelInfer(asked(raw=False))
    raw = await stub.ModelInfer(asked())
    assert not listed.raw_output_contents
    assert (
        np.array(listed.outputs[0].contents.fp32_contents, "<f4").tobytes()
        == (raw.raw_output_contents[0])
    )


async def test_server_and_models_describe_themselves(stub):
    assert (await stub.ServerLive(contract.ServerLiveRequest())).live
    assert (await stub.ServerReady(contract.ServerReadyRequest())).ready
    assert (await stub.ServerMetadata(contract.ServerMetadataRequest())).name == "bellwire"
    found = await stub.ModelMetadata(contract.ModelMetadataRequest(name="tactical"))
    assert (found.name, list(found.versions), found.platform) == ("tactical", ["1", "2"], "numpy")
    assert [(each.name, list(each.shape)) for each in found.inputs] == [("x", [-1, 4])]
    assert [(each.name, list(each.shape)) for each in found.outputs] == [
        ("p", [-1, 3]), ("action", [-1]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "version", "ready"),
    [
        ("tactical", "", True),
        ("tactical", "2", True),
        ("tactical", "9", False),
        ("ghost", "", False),
    ],
)
async def test_a_model_is_ready_when_it_may_be_asked(stub, name, version, ready):
    answer = await stub.ModelReady(contract.ModelReadyRequest(name=name, version=version))
    assert answer.ready is ready


@pytest.mark.parametrize(
    ("request_", "code", "reason", "says"),
    [
        (
            asked(np.zeros((2, 5), "<f4")), "INVALID_ARGUMENT", "TENSOR_INVALID",
            "tensor 'x' is float32 of shape (2, 5), expected FP32 of shape (batch, 4)",
        ),
        (
            asked(np.full((1, 4), np.nan, "<f4")), "INVALID_ARGUMENT", "TENSOR_INVALID",
            "tensor 'x' is NaN or infinite in row 0, expected finite numbers only",
        ),
        (asked(model_name="ghost"), "NOT_FOUND", "MODEL_UNKNOWN", "model 'ghost' is unknown; there are"),
        (asked(model_version="9"), "NOT_FOUND", "MODEL_UNKNOWN", "model 'tactical:9' is unknown"),
        (asked(model_version="x"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "model version is 'x'"),
        (
            asked(outputs=[{"name": "q"}]), "INVALID_ARGUMENT", "OUTPUT_UNKNOWN",
            "there is no output 'q'; there are p, action",
        ),
    ],
    ids=["wrong shape", "NaN", "unknown model", "unknown version", "odd version", "unknown output"],
)  # fmt: skip
async def test_a_refusal_has_the_right_status_and_words_and_the_next_is_answered(
    stub, request_, code, reason, says
):
    error = await failure(stub, request_)
    assert (error.code.name, error.reason) == (code, reason)
    assert says in error.message
    assert (await stub.ModelInfer(asked())).model_version == "2"


async def failure(stub: Stub, request_, **options) -> BellwireError:
    """Return what a request ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(request_, **options)
    return error_from_rpc(caught.value)


async def test_a_failing_engine_is_internal_and_the_next_is_answered(stub, endpoint):
    endpoint.failures = [EngineFailedError("tactical:2", "oom"), ZeroDivisionError("variance")]
    assert (await failure(stub, asked())).message == "model 'tactical:2' failed: oom"
    error = await failure(stub, asked())
    assert (error.code.name, error.reason) == ("INTERNAL", "ENGINE_FAILED")
    assert (await stub.ModelInfer(asked())).model_version == "2"


async def test_a_full_queue_is_resource_exhausted_with_its_delay(stub, endpoint):
    endpoint.failures = [AgentBusyError("full", retry_delay_seconds=0.25)]
    error = await failure(stub, asked())
    assert (error.code.name, error.retry_delay_seconds) == ("RESOURCE_EXHAUSTED", 0.25)


async def test_the_rpcs_deadline_reaches_the_model_and_ends_a_wait(stub, endpoint):
    endpoint.gate.clear()
    error = await failure(stub, asked(), timeout=0.2)
    assert error.code.name == "DEADLINE_EXCEEDED"
    assert endpoint.requests[0].deadline_seconds > 0
    endpoint.gate.set()
    assert (await stub.ModelInfer(asked())).model_version == "2"


async def test_a_deadline_that_passes_in_the_queue_is_told_as_that(stub, endpoint):
    endpoint.gate.clear()
    asking = asyncio.create_task(failure(stub, asked(parameters={"timeout": {"int64_param": 1}})))
    await endpoint.until_asked()
    endpoint.gate.set()
    error = await asking
    assert (error.code.name, error.message) == (
        "DEADLINE_EXCEEDED", "the deadline passed in the queue",
    )  # fmt: skip


async def test_bytes_that_are_no_request_are_refused(endpoint):
    async with (
        KserveDoors(endpoint, grpc="127.0.0.1:0") as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no serialized inference.ModelInferRequest" in (caught.value.details() or "")


async def test_a_stream_answers_in_order_and_an_error_is_one_answer(stub):
    call = stub.ModelStreamInfer()
    requests = [asked(id="0"), asked(id="1", model_name="ghost"), asked(id="2")]
    for request in requests:
        await call.write(request)
    await call.done_writing()
    answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2"]
    assert [answer.error_message.partition(":")[0] for answer in answers] == [
        "",
        "MODEL_UNKNOWN",
        "",
    ]
    assert answers[2].infer_response.outputs[0].name == "p"


async def test_a_stream_that_its_client_cancels_leaves_the_server_serving(stub, endpoint):
    endpoint.gate.clear()
    call = stub.ModelStreamInfer()
    await call.write(asked())
    await endpoint.until_asked()
    call.cancel()
    endpoint.gate.set()
    assert (await stub.ModelInfer(asked())).model_version == "2"


async def test_health_is_served_beside_it(endpoint):
    async with (
        KserveDoors(endpoint, grpc="127.0.0.1:0") as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_an_address_that_is_taken_is_refused_in_our_words_and_nothing_stays_open(
    endpoint, door, capfd
):
    where: dict[str, Any] = {door: "127.0.0.1:0"}
    async with KserveDoors(endpoint, **where) as doors:
        taken = doors.grpc_address or doors.http_address
        where[door] = taken
        port = taken.rpartition(":")[2]
        says = f"'{taken}' cannot be served: port {port} is taken; stop who has it, or use another"
        with pytest.raises(KserveListenError, match=f"^{re.escape(says)}$"):
            async with KserveDoors(endpoint, **where):
                pass
    assert capfd.readouterr().err == "", "gRPC has written a line of its own"


async def test_a_stream_of_what_is_no_request_ends_as_the_callers_fault(endpoint):
    async with (
        KserveDoors(endpoint, grpc="127.0.0.1:0") as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        method = "/inference.GRPCInferenceService/ModelStreamInfer"
        stream = channel.stream_stream(
            method, request_serializer=bytes, response_deserializer=bytes
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stream(iter([b"\xff\xff\xff"])):
                pass
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no serialized inference.ModelInferRequest" in (caught.value.details() or "")


async def test_a_shape_that_no_memory_has_is_refused_and_the_stream_goes_on(stub):
    huge = asked()
    huge.inputs[0].shape[:] = [0, 2**62, 2**62]
    huge.raw_input_contents[:] = [b""]
    answers = [each async for each in stub.ModelStreamInfer(iter([huge, asked()]))]
    assert "TENSOR_INVALID" in answers[0].error_message
    assert not answers[1].error_message


class Chained(LinearEndpoint):
    """Offers a chain beside its model."""

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        (manifest, *_) = self.manifests()
        return (OfferedChain("safe", manifest.inputs, manifest.outputs, is_ready=True),)


async def test_a_chain_is_described_and_ready_as_a_model_is():
    async with (
        KserveDoors(Chained(), grpc="127.0.0.1:0") as doors,
        grpc.aio.insecure_channel(doors.grpc_address) as channel,
    ):
        stub = Stub(channel)
        assert (await stub.ModelReady(contract.ModelReadyRequest(name="safe"))).ready
        found = await stub.ModelMetadata(contract.ModelMetadataRequest(name="safe"))
        assert (found.name, found.platform, list(found.versions)) == ("safe", "bellwire_chain", [])
        assert [tensor.name for tensor in (*found.inputs, *found.outputs)] == ["x", "p", "action"]
