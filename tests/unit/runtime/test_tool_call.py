"""What a tool call answers, also when it fails."""

import json

import pytest

from bellwire.runtime import Agent, CallContext, tool
from bellwire.runtime.tool_call import RESULT_BYTES_MAX, Toolbox, ToolResult
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.errors import UnknownTopicError

CONTEXT = CallContext("c-1", deadline_unix_nano=7, principal="me")


class Desk(Agent):
    """Tools of all sorts."""

    name = "desk"

    @tool()
    async def add(self, a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    @tool()
    async def whoami(self, call: CallContext) -> str:
        """Say who calls."""
        return call.principal

    @tool()
    async def signal(self) -> Signal:
        """Return a protobuf message."""
        return Signal(signal_id="s-1", strength=0.5)

    @tool()
    async def broken(self) -> None:
        """Fail."""
        raise LookupError("no such symbol")

    @tool()
    async def strict(self) -> None:
        """Refuse."""
        raise UnknownTopicError("there is no topic 'x'")

    @tool()
    async def opaque(self) -> object:
        """Return what is no JSON."""
        return {1, 2}

    @tool()
    async def endless(self) -> str:
        """Return too much."""
        return "x" * RESULT_BYTES_MAX


async def answer(name: str, arguments: bytes = b"{}") -> ToolResult:
    return await Toolbox(Desk()).answer(name, arguments, CONTEXT)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("add", b'{"a":2}', 3),
        ("whoami", b"", "me"),
        ("signal", b"{}", {"signal_id": "s-1", "strength": 0.5}),
    ],
)
async def test_result_is_json(name: str, arguments: bytes, result: object) -> None:
    answered = await answer(name, arguments)
    assert not answered.is_error
    assert json.loads(answered.result) == result


@pytest.mark.parametrize(
    ("name", "arguments", "code", "reason", "says"),
    [
        ("add", b"{", "INVALID_ARGUMENT", "INVALID_TOOL_ARGUMENTS", "no UTF-8 JSON"),
        ("add", b"{}", "INVALID_ARGUMENT", "INVALID_TOOL_ARGUMENTS", "misses 'a'"),
        ("broken", b"{}", "UNKNOWN", "LookupError", "no such symbol"),
        ("strict", b"{}", "NOT_FOUND", "UNKNOWN_TOPIC", "no topic 'x'"),
        ("opaque", b"{}", "INTERNAL", "INVALID_TOOL_RESULT", "set is not JSON serializable"),
        ("endless", b"{}", "RESOURCE_EXHAUSTED", "TOOL_RESULT_TOO_LARGE", "limit is"),
    ],
)
async def test_failure_tells_the_model_why(
    name: str, arguments: bytes, code: str, reason: str, says: str
) -> None:
    answered = await answer(name, arguments)
    assert answered.is_error
    error = json.loads(answered.result)["error"]
    assert (error["code"], error["reason"]) == (code, reason)
    assert says in error["message"]


def test_toolbox_knows_its_tools() -> None:
    box = Toolbox(Desk())
    assert "add" in box
    assert "subtract" not in box
