"""`bellwire model serve`: a folder of ONNX files on a coordinator of its own, and rollouts taken by the command."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agents.inference.model_server.conftest import (
    asking,
    manifest_of,
    number_of,
    onnx_content,
)

from bellwire.agents.inference.bus_endpoint import BusEndpoint
from bellwire.agents.inference.repository import publish_version
from bellwire.agents.inference.rollout import Author, RolloutFile, Stage
from bellwire.client import connect

pytestmark = pytest.mark.acceptance

SECONDS = 30


def publish(root: Path, answer: float, name: str = "actor") -> None:
    """Add a version that answers with its number."""
    publish_version(root / "models", manifest_of(name), onnx_content(answer))


@pytest.mark.slow
async def test_a_promotion_by_the_command_changes_what_the_bus_and_kserve_answer(
    bellwire, find_tool
):
    curl = find_tool("curl")
    publish(bellwire.folder, 1)

    async def told(place: str) -> Any:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2]]}
        url = f"http://{place}/v2/models/actor/infer"
        process = await asyncio.create_subprocess_exec(
            *(curl, "-sS", url, "-d", json.dumps({"inputs": [tensor]})),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(SECONDS):
            out, _ = await process.communicate()
        return json.loads(out)["outputs"][0]["data"]

    rollout = RolloutFile(bellwire.folder / "models", "actor")
    rollout.take(lambda before: before.pin(Author("eve", "it is the first"), 1), serving=1)
    publish(bellwire.folder, 2)
    options = ("--kserve-http", "127.0.0.1:0", "--kserve-grpc", "127.0.0.1:0", "--refresh", "0.1")
    async with (
        bellwire.serving() as (_, address),
        bellwire.started("model", "serve", "--json", "--address", address, *options) as server,
        connect(address) as client,
    ):
        ready = await server.event()
        assert (ready["event"], ready["capability"], ready["models"], ready["problems"]) == (
            "ready",
            "infer.actor",
            ["actor:1", "actor:2"],
            {},
        )
        assert (ready["coordinator"], ready["capabilities"]) == (address, ["infer.actor"])
        model = BusEndpoint(client, ready["capability"])
        first = await model.infer(asking(rows=3))
        assert (number_of(first), first.answered_by, first.batch_size) == (1.0, "actor:1", 3)
        assert await told(ready["kserve_http"]) == [1.0, 0.0, 0.0]
        rollout.take(
            lambda before: before.start(2, Stage.SHADOW, 0, Author("eve", "looks good"), 2)
        )
        assert number_of(await model.infer(asking())) == 1.0
        promote = ("promote", "actor", "-r", "agreed", "--author", "ada")
        status, out, err = await bellwire.run("model", "rollout", *promote)
        assert (status, out, err) == (0, "actor: version 2 serves; a rollback leads to 1\n", "")
        async with asyncio.timeout(SECONDS):
            while number_of(await model.infer(asking())) != 2.0:  # noqa: ASYNC110 - of a process
                await asyncio.sleep(0.02)
        assert await told(ready["kserve_http"]) == [2.0, 0.0, 0.0]
        counted = json.loads((await client.call("model_statistics", b"{}")).result)
        assert counted["rollouts"][0]["serving"] == 2
        server.signal(signal.SIGINT)
        status, out, err = await server.end()
        stopped = json.loads(out)
        assert (status, err, stopped["event"]) == (0, "", "stopped")
        assert [each["key"] for each in stopped["statistics"]["versions"]] == ["actor:1", "actor:2"]


async def said(server: Any, words: str) -> str:
    """Read stderr until a line has these words; return all that was read."""
    read = ""
    async with asyncio.timeout(SECONDS):
        while words not in read:
            line = await server.process.stderr.readline()
            assert line, f"it has ended without {words!r}: {read}"
            read += line.decode()
    return read


@pytest.mark.slow
async def test_a_problem_and_a_lost_coordinator_are_said_once_and_so_is_their_end(bellwire):
    publish(bellwire.folder, 1)
    publish(bellwire.folder, 1, name="other")
    model = bellwire.folder / "models" / "other" / "1" / "model.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[:-9])
    options = ("--model", "actor", "--refresh", "0.1")
    async with (
        bellwire.serving() as (first, address),
        bellwire.started("model", "serve", "--address", address, *options) as server,
    ):
        assert await server.line() == "serving actor:1"
        assert await server.line() == f"on the bus at {address} as infer.actor, infer.other"
        told = await said(server, "other:1: ")
        model.write_bytes(whole)
        told += await said(server, "other:1: is in order again")
        assert told.count("\n") == 2
        first.signal(signal.SIGTERM)
        assert (await first.end())[0] == 0
        lost = await said(server, "has lost the coordinator")
        assert address in lost
        async with bellwire.serving():
            back = await said(server, "is registered again")
            assert (lost + back).count("\n") == 2
            server.signal(signal.SIGINT)
            status, _, err = await server.end()
            assert (status, err) == (0, "")


@pytest.mark.slow
async def test_a_door_that_is_taken_is_one_sentence(bellwire):
    publish(bellwire.folder, 1)
    async with bellwire.serving() as (_, address):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            place = f"127.0.0.1:{taken.getsockname()[1]}"
            options = ("--address", address, "--kserve-grpc", place)
            status, out, err = await bellwire.run("model", "serve", *options)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert f"'{place}' cannot be served" in err
