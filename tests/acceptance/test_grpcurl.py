"""A running server with nothing of ours on the other side but grpcurl: every answer is readable."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.coordinator.frames import AgentStream, dial

pytestmark = pytest.mark.acceptance

GRPCURL_SECONDS = 30
TOOL = "explain_last_signal"
NOT_FOUND_EXIT = 64 + 5  # grpcurl ends with 64 + the gRPC status code.
INVALID_ARGUMENT_EXIT = 64 + 3


CAMEL_KEY = re.compile(r'"[a-z]+(?:[A-Z][a-z]+)+":')


def _snake(key: re.Match[str]) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key[0])


class Grpcurl:
    """Runs grpcurl against one server.

    Attributes:
        address: "127.0.0.1:PORT".
    """

    def __init__(self, path: Path, address: str) -> None:
        self.address = address
        self._path = path

    async def run(
        self, *verb: str, data: Any = None, flags: tuple[str, ...] = ()
    ) -> tuple[int | None, str, str]:
        """Run it; return exit code, stdout and stderr."""
        request = () if data is None else ("-d", json.dumps(data))
        process = await asyncio.create_subprocess_exec(
            *(self._path, "-plaintext", *flags, *request, self.address, *verb),
            stdout=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(GRPCURL_SECONDS):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async def call(self, rpc: str, data: Any = None) -> Any:
        """Call an RPC that must succeed; return its JSON, with names as in the contract.

        Versions of grpcurl differ in whether they write `ack_level` or `ackLevel`.
        """
        status, out, err = await self.run(rpc, data=data if data is not None else {})
        assert (status, err) == (0, "")
        return json.loads(CAMEL_KEY.sub(_snake, out))

    async def lines(self, *verb: str) -> list[str]:
        """Run a verb that must succeed; return its lines."""
        status, out, err = await self.run(*verb)
        assert (status, err) == (0, "")
        return out.splitlines()


@pytest.fixture
async def grpcurl(bellwire, find_tool) -> AsyncIterator[Grpcurl]:
    """grpcurl, and a server of its own."""
    path = find_tool("grpcurl")
    async with bellwire.started("serve", "--json", "--listen", "127.0.0.1:0") as server:
        ready = await server.event()
        yield Grpcurl(path, ready["addresses"][0])


def data_of(text: str) -> str:
    """Bytes as protobuf's JSON writes them."""
    return base64.b64encode(text.encode()).decode()


async def test_it_lists_every_service_by_reflection(grpcurl: Grpcurl):
    assert await grpcurl.lines("list") == [
        "bellwire.admin.v1.DeadLetterService",
        "bellwire.admin.v1.ServerService",
        "bellwire.admin.v1.TopicService",
        "bellwire.agent.v1.AgentService",
        "bellwire.agent.v1.InvocationService",
        "bellwire.bus.v1.PublisherService",
        "bellwire.bus.v1.SubscriberService",
        "bellwire.mcp.v1.McpService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


async def test_it_describes_services_and_messages(grpcurl: Grpcurl):
    assert await grpcurl.lines("list", "bellwire.bus.v1.SubscriberService") == [
        f"bellwire.bus.v1.SubscriberService.{rpc}"
        for rpc in (
            "Acknowledge",
            "DeleteSubscription",
            "GetLatest",
            "Pull",
            "Replay",
            "Seek",
            "Subscribe",
        )
    ]
    described = await grpcurl.lines("describe", "bellwire.bus.v1.PublisherService.Publish")
    assert described[0] == "bellwire.bus.v1.PublisherService.Publish is a method:"
    message = "\n".join(await grpcurl.lines("describe", "bellwire.bus.v1.Message"))
    assert "fixed64 time_unix_nano = 6;" in message


async def test_the_server_is_healthy(grpcurl: Grpcurl):
    assert await grpcurl.call("grpc.health.v1.Health/Check") == {"status": "SERVING"}


async def test_a_message_is_published_pulled_decoded_and_acknowledged(grpcurl: Grpcurl):
    message = {"type": "text", "key": "EURUSD", "data": data_of("1.0843")}
    published = await grpcurl.call(
        "bellwire.bus.v1.PublisherService/Publish", {"topic": "bars.1h", "messages": [message]}
    )
    assert published == {
        "positions": [{"topic": "bars.1h"}],  # Partition 0 and offset 0 are JSON's silence.
        "ack_level": "ACK_LEVEL_RECEIVED",
    }

    pulled = await grpcurl.call(
        "bellwire.bus.v1.SubscriberService/Pull",
        {"subscription": "inspect", "topics": ["bars.*"], "wait_millis": 5_000},
    )
    (delivery,) = pulled["deliveries"]
    (found,) = delivery["batch"]["messages"]
    assert {name: found[name] for name in message} == message
    assert len(found["id"]) == 36
    assert delivery["first_delivery_tag"] == "1"

    settlement = {"first_tag": 1, "last_tag": 1, "disposition": "DISPOSITION_ACCEPT"}
    acknowledged = await grpcurl.call(
        "bellwire.bus.v1.SubscriberService/Acknowledge",
        {"lease_id": pulled["lease_id"], "settlements": [settlement]},
    )
    assert acknowledged == {}
    again = await grpcurl.call(
        "bellwire.bus.v1.SubscriberService/Pull", {"subscription": "inspect"}
    )
    assert again == {}


async def test_tools_of_an_agent_are_listed_and_called(grpcurl: Grpcurl):
    async with dial(grpcurl.address) as bus:
        agent = await AgentStream(bus).open("rules-0", TOOL, name="rules")
        listed = await grpcurl.call("bellwire.mcp.v1.McpService/ListTools")
        (tool,) = listed["tools"]
        assert (tool["name"], tool["agents"]) == (TOOL, 1)
        assert json.loads(base64.b64decode(tool["input_schema_json"])) == {"type": "object"}

        arguments = data_of('{"symbol": "EURUSD"}')
        calling = asyncio.create_task(
            grpcurl.call(
                "bellwire.mcp.v1.McpService/CallTool", {"name": TOOL, "arguments_json": arguments}
            )
        )
        call = await agent.next_call()
        assert json.loads(call.arguments) == {"symbol": "EURUSD"}
        await agent.answer(call, b'{"why": "gap"}')
        answer = await calling
        assert answer["agent_id"] == "rules-0"
        assert base64.b64decode(answer["structured_content_json"]) == b'{"why": "gap"}'
        content = json.loads(base64.b64decode(answer["content"][0]["content_json"]))
        assert content == {"type": "text", "text": '{"why": "gap"}'}


async def test_streams_can_be_followed_too(grpcurl: Grpcurl):
    publish = {"topic": "bars.1h", "messages": [{"data": data_of("x")}]}
    await grpcurl.call("bellwire.bus.v1.PublisherService/Publish", publish)
    start = {
        "start": {
            "topics": ["bars.1h"],
            "start_position": {"policy": "START_POLICY_EARLIEST"},
            "window": {"messages": 10, "bytes": 1 << 20},
        }
    }
    # With its only frame sent grpcurl closes its side, so the stream ends well after `started`.
    status, out, err = await grpcurl.run("bellwire.bus.v1.SubscriberService/Subscribe", data=start)
    assert (status, err) == (0, "")
    assert '"started"' in out


@pytest.mark.parametrize(
    ("rpc", "data", "status", "words"),
    [
        (
            "bellwire.bus.v1.PublisherService/Publish",
            {"topic": "no good", "messages": [{}]},
            INVALID_ARGUMENT_EXIT,
            ["topic name 'no good' is not allowed", "INVALID_TOPIC_NAME", "bellwire.dev"],
        ),
        (
            "bellwire.admin.v1.TopicService/GetTopic",
            {"name": "nowhere"},
            NOT_FOUND_EXIT,
            ["topic 'nowhere' does not exist", "UNKNOWN_TOPIC"],
        ),
        (
            "bellwire.mcp.v1.McpService/CallTool",
            {"name": "ghost"},
            INVALID_ARGUMENT_EXIT,
            ["no live agent has a tool 'ghost'", "UNKNOWN_TOOL"],
        ),
        (
            "bellwire.bus.v1.SubscriberService/Seek",
            {"subscription": "nobody", "position": {"policy": "START_POLICY_EARLIEST"}},
            NOT_FOUND_EXIT,
            ["'nobody'", "UNKNOWN_SUBSCRIPTION"],
        ),
    ],
    ids=["bad topic name", "unknown topic", "unknown tool", "unknown subscription"],
)
async def test_a_refusal_is_readable(grpcurl: Grpcurl, rpc, data, status, words):
    code, out, err = await grpcurl.run(rpc, data=data)
    assert (code, out) == (status, "")
    for word in words:
        assert word in err
