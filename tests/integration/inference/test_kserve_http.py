"""The HTTP door: bytes on a socket, as curl and others write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.unit.agents.inference.linear import LinearEndpoint, observations

from bellwire.agents.inference import InvalidModelError
from bellwire.agents.inference.endpoint import OfferedChain
from bellwire.agents.inference.errors import EngineMissingError
from bellwire.agents.inference.kserve import KserveDoors, KserveListenError
from bellwire.agents.inference.kserve.http_server import CONNECTIONS_MAX
from bellwire.agents.inference.kserve.rest import BODY_BYTES_MAX
from bellwire.agents.inference.rollout import UndecidedModelError
from bellwire.wire.errors import AgentBusyError, ClosedError

pytestmark = pytest.mark.integration

INFER = "/v2/models/tactical/infer"


@dataclass
class Answer:
    """One HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Curl:
    """One request, one connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = host, int(port)

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join((*lines, "", "")).encode() + body)

    async def raw(self, data: bytes) -> Answer:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(*self._place)
            writer.write(data)
            found = await reader.read()
            writer.close()
            await writer.wait_closed()
        head, _, body = found.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(first.split()[1]), headers, body)

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def post(self, path: str, given: Any) -> Answer:
        return await self.send("POST", path, json.dumps(given).encode())


@pytest.fixture
def endpoint() -> LinearEndpoint:
    return LinearEndpoint()


@pytest.fixture
async def curl(endpoint) -> AsyncIterator[Curl]:
    async with KserveDoors(endpoint, http="127.0.0.1:0") as doors:
        yield Curl(doors.http_address)


def asked(data: Any = None, shape: Any = None, **fields: Any) -> dict[str, Any]:
    array = observations()
    tensor = {"name": "x", "datatype": "FP32", "data": data or array.tolist()}
    return {"inputs": [{**tensor, "shape": shape or [2, 4]}], **fields}


async def test_a_batch_is_answered(curl, endpoint):
    answer = await curl.post(INFER, asked(id="7"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found = answer.json()
    assert (found["model_name"], found["model_version"], found["id"]) == ("tactical", "2", "7")
    p, action = found["outputs"]
    assert (p["name"], p["datatype"], p["shape"], len(p["data"])) == ("p", "FP32", [2, 3], 6)
    assert (action["datatype"], action["shape"]) == ("INT64", [2])
    assert found["parameters"]["answered_by"] == "tactical:2"


async def test_a_version_is_named_in_the_path(curl):
    answer = await curl.post("/v2/models/tactical/versions/1/infer", asked())
    assert answer.json()["model_version"] == "1"


async def test_tensors_travel_as_bytes_where_that_is_asked(curl, endpoint):
    array = observations()
    size = {"binary_data_size": array.nbytes}
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": size}
    outputs = [{"name": "p", "parameters": {"binary_data": True}}, {"name": "action"}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = await curl.send("POST", INFER, head + array.tobytes(), headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    p, action = json.loads(answer.body[:length])["outputs"]
    assert (p["parameters"], "data" in p) == ({"binary_data_size": 24}, False)
    assert action["data"] == [1, 1]
    found = np.frombuffer(answer.body[length:], "<f4").reshape(2, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/tactical/ready", {"name": "tactical", "ready": True}),
        ("/v2/models/tactical/versions/1/ready", {"name": "tactical", "ready": True}),
    ],
)
async def test_health_is_told(curl, path, expected):
    answer = await curl.get(path)
    assert (answer.status, answer.json()) == (200, expected)


async def test_without_a_model_the_server_is_live_and_not_ready():
    empty = LinearEndpoint()
    empty._manifests = ()
    async with KserveDoors(empty, http="127.0.0.1:0") as doors:
        curl = Curl(doors.http_address)
        assert (await curl.get("/v2/health/live")).status == 200
        assert (await curl.get("/v2/health/ready")).status == 503


async def test_server_and_models_describe_themselves(curl):
    server = (await curl.get("/v2")).json()
    assert (server["name"], server["extensions"]) == ("bellwire", ["binary_tensor_data"])
    assert (await curl.get("/v2/models/tactical")).json() == {
        "name": "tactical",
        "versions": ["1", "2"],
        "platform": "numpy",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "action", "datatype": "INT64", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize(
    ("path", "given", "status", "says"),
    [
        (
            INFER,
            asked([[0] * 5] * 2, [2, 5]),
            400,
            "of shape (2, 5), expected FP32 of shape (batch, 4)",
        ),
        (INFER, asked([float("nan")] * 8), 400, "NaN is no number"),
        (INFER, asked([1e300] + [0] * 7), 400, "tensor 'x' is NaN or infinite in row 0"),
        (INFER, asked(outputs=[{"name": "q"}]), 400, "no output 'q'"),
        ("/v2/models/ghost/infer", asked(), 404, "model 'ghost' is unknown; there are tactical:1"),
        ("/v2/models/tactical/versions/9/infer", asked(), 404, "'tactical:9' is unknown"),
        ("/v2/models/tactical/versions/x/infer", asked(), 400, "model version is 'x'"),
        ("/v2/nowhere", asked(), 404, "POST /v2/nowhere: Not Found"),
        ("/v2/models/tactical", asked(), 405, "Method Not Allowed"),
    ],
)
async def test_a_refusal_has_the_right_status_and_words_and_the_next_is_answered(
    curl, path, given, status, says
):
    answer = await curl.post(path, given)
    assert answer.status == status
    assert says in answer.json()["error"]
    assert (await curl.post(INFER, asked())).status == 200


class Chained(LinearEndpoint):
    """Offers a chain beside its model."""

    def offered_chains(self) -> tuple[OfferedChain, ...]:
        (manifest, *_) = self.manifests()
        return (OfferedChain("safe", manifest.inputs, manifest.outputs, is_ready=True),)


async def test_a_chain_is_described_and_ready_as_a_model_is():
    async with KserveDoors(Chained(), http="127.0.0.1:0") as doors:
        curl = Curl(doors.http_address)
        answer = await curl.get("/v2/models/safe/ready")
        assert (answer.status, answer.json()) == (200, {"name": "safe", "ready": True})
        found = (await curl.get("/v2/models/safe")).json()
        assert (found["platform"], found["versions"]) == ("bellwire_chain", [])
        assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            UndecidedModelError("tactical", InvalidModelError("rollout.json", "cut", "a rollout")),
            "MODEL_UNDECIDED",
        ),
        (EngineMissingError("torch", "package torch", "install it"), "ENGINE_MISSING"),
        (ClosedError("the server stops"), "CLOSED"),
    ],
)
async def test_a_state_of_the_server_is_no_fault_of_the_request(curl, endpoint, error, reason):
    endpoint.failures = [error]
    answer = await curl.post(INFER, asked())
    assert (answer.status, answer.json()["reason"]) == (503, reason)


class Undecided(LinearEndpoint):
    """Nobody knows which version is in service."""

    def version_in_service(self, model: str) -> int:
        raise UndecidedModelError(model, InvalidModelError("rollout.json", "cut", "a rollout"))


async def test_a_model_that_is_undecided_is_there_and_not_ready():
    async with KserveDoors(Undecided(), http="127.0.0.1:0") as doors:
        answer = await Curl(doors.http_address).get("/v2/models/tactical/ready")
        assert (answer.status, answer.json()["ready"]) == (503, False)


async def test_an_unknown_model_is_neither_ready_nor_described(curl):
    assert (await curl.get("/v2/models/ghost/ready")).status == 404
    assert (await curl.get("/v2/models/ghost")).json()["reason"] == "MODEL_UNKNOWN"


async def test_a_deadline_that_passes_in_the_queue_is_a_gateway_timeout(curl, endpoint):
    endpoint.gate.clear()
    asking = asyncio.create_task(curl.post(INFER, asked(parameters={"timeout": 1})))
    await endpoint.until_asked()
    endpoint.gate.set()
    answer = await asking
    assert (answer.status, answer.json()["reason"]) == (504, "DEADLINE_EXCEEDED")


async def test_a_full_queue_says_when_to_come_again(curl, endpoint):
    endpoint.failures = [AgentBusyError("full", retry_delay_seconds=1.5)]
    answer = await curl.post(INFER, asked())
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")


async def test_an_engine_that_raises_is_a_server_error_and_the_next_is_answered(curl, endpoint):
    endpoint.failures = [ZeroDivisionError("no variance")]
    answer = await curl.post(INFER, asked())
    assert (answer.status, answer.json()["reason"]) == (500, "ENGINE_FAILED")
    assert (await curl.post(INFER, asked())).status == 200


async def test_a_body_above_the_limit_is_refused(curl):
    answer = await curl.send("POST", INFER, b" " * (BODY_BYTES_MAX + 1))
    assert answer.status == 413
    assert f"larger than {BODY_BYTES_MAX} bytes" in answer.json()["error"]


async def test_a_body_that_does_not_come_is_not_waited_for_without_end(curl, monkeypatch):
    monkeypatch.setattr("bellwire.agents.inference.kserve.rest.BODY_SECONDS_MAX", 0.05)
    head = f"POST {INFER} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{{"
    answer = await curl.raw(head.encode())
    assert answer.status == 408
    assert "did not arrive within 0.05 s" in answer.json()["error"]


async def test_a_header_that_is_no_number_is_refused(curl):
    answer = await curl.send("POST", INFER, b"{}", {"Inference-Header-Content-Length": "-2"})
    assert (answer.status, "is '-2'" in answer.json()["error"]) == (400, True)


async def test_what_is_no_http_is_refused_and_the_next_is_answered(curl):
    assert (await curl.raw(b"\x00\x01\x02\r\n\r\n")).status == 400
    assert (await curl.post(INFER, asked())).status == 200


async def test_a_caller_that_hangs_up_in_its_body_harms_nobody(curl):
    _, writer = await asyncio.open_connection(*curl._place)
    writer.write(
        b"POST /v2/models/tactical/infer HTTP/1.1\r\nHost: t\r\nContent-Length: 99\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await curl.post(INFER, asked())).status == 200


@pytest.mark.parametrize("first", [b"", b"GET /v2/health/li"], ids=["silent", "half a head"])
async def test_connections_that_send_no_head_shut_nobody_out(endpoint, first):
    doors = KserveDoors(endpoint, http="127.0.0.1:0", head_seconds_max=0.2)
    async with doors, asyncio.timeout(10):
        host, _, port = doors.http_address.rpartition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(CONNECTIONS_MAX)]
        for _, writer in silent:
            writer.write(first)
        for reader, _ in silent:
            assert await reader.read() == b""
        assert (await Curl(doors.http_address).get("/v2/health/live")).status == 200
        for _, writer in silent:
            writer.close()


async def test_connection_that_sends_half_of_its_second_head_is_closed(endpoint):
    doors = KserveDoors(endpoint, http="127.0.0.1:0", head_seconds_max=0.2)
    async with doors, asyncio.timeout(10):
        host, _, port = doors.http_address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"GET /v2/health/live HTTP/1.1\r\nHost: test\r\n\r\n"
        writer.write(head)
        assert b"200 OK" in await reader.readuntil(b'{"live":true}')
        writer.write(head[:10])
        assert await reader.read() == b""
        writer.close()


async def test_answer_that_takes_longer_than_a_head_may_is_given(endpoint):
    endpoint.gate.clear()
    doors = KserveDoors(endpoint, http="127.0.0.1:0", head_seconds_max=0.05)
    async with doors, asyncio.timeout(10):
        answering = asyncio.create_task(Curl(doors.http_address).post(INFER, asked()))
        await endpoint.until_asked()
        asyncio.get_running_loop().call_later(0.2, endpoint.gate.set)
        assert (await answering).status == 200


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize("address", ["127.0.0.1:99999", ":0", "127.0.0.1", "nonsense"])
async def test_address_that_is_none_is_refused_by_both_doors(endpoint, kind, address):
    with pytest.raises(KserveListenError, match="cannot be served"):
        async with KserveDoors(endpoint, **{kind: address}):
            pass
