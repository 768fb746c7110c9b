"""The command as a process: signals, pipes, and what it takes to start."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest

from bellwire.client import connect
from bellwire.runtime import Agent, tool
from bellwire.runtime.runner import AgentRunner

pytestmark = pytest.mark.acceptance


class Echo(Agent):
    """Answers with what it was asked."""

    name = "echo"
    calls = 0

    @tool(description="Say it again.")
    async def repeat(self, text: str, times: int = 1) -> dict[str, object]:
        self.calls += 1
        if times > 3:
            raise ValueError("no more than three times")
        return {"said": [text] * times}


async def test_ctrl_c_is_how_tail_ends(bellwire):
    async with (
        bellwire.serving() as (_, address),
        bellwire.started("tail", ">", "--from", "earliest", "-a", address) as tail,
    ):
        assert (await bellwire.run("pub", "t", "--data", "hello", "-a", address))[0] == 0
        assert (await tail.line()).endswith("hello")
        tail.signal(signal.SIGINT)
        assert await tail.end() == (0, "", "")


async def test_ctrl_c_in_the_middle_of_a_count_is_an_interruption(bellwire):
    async with (
        bellwire.serving() as (_, address),
        bellwire.started("sub", "t", "--from", "earliest", "-n", "2", "-a", address) as sub,
    ):
        assert (await bellwire.run("pub", "t", "--data", "hello", "-a", address))[0] == 0
        assert await sub.line() == "hello"
        sub.signal(signal.SIGINT)
        assert await sub.end() == (130, "", "")


async def test_ctrl_c_while_waiting_for_input_ends_without_a_trace(bellwire):
    async with (
        bellwire.serving() as (_, address),
        bellwire.started("sub", "t", "--from", "earliest", "-n", "1", "-a", address) as sub,
        bellwire.started("pub", "t", "-", "-a", address) as pub,
    ):
        assert pub.process.stdin is not None
        pub.process.stdin.write(b"first\nunfinished")
        await pub.process.stdin.drain()
        assert await sub.line() == "first"
        pub.signal(signal.SIGINT)
        assert (await asyncio.wait_for(pub.process.wait(), 20)) == 130
        assert pub.process.stderr is not None
        assert await pub.process.stderr.read() == b""


async def test_a_reader_that_has_enough_is_no_failure(bellwire):
    async with bellwire.serving() as (_, address):
        lines = "\n".join(str(n) for n in range(3000))
        async with bellwire.started("pub", "t", "-", "-a", address) as pub:
            out, _ = await asyncio.wait_for(pub.process.communicate(lines.encode()), 30)
            assert out == b"published 3,000 messages to t\n"
        async with bellwire.started("tail", "t", "--from", "earliest", "-a", address) as tail:
            assert (await tail.line()).endswith("0")
            assert tail.process.stdout is not None
            tail.process.stdout._transport.close()  # as `head` does
            assert (await asyncio.wait_for(tail.process.wait(), 20)) == 0
            assert tail.process.stderr is not None
            assert await tail.process.stderr.read() == b""


async def test_a_live_agent_is_listed_and_its_tool_called(bellwire):
    async with bellwire.serving() as (_, address), connect(address) as client:
        agent = Echo()
        runner = AgentRunner(agent, client)
        running = asyncio.create_task(runner.run())
        try:
            await asyncio.wait_for(runner.ready.wait(), 20)
            at = ("-a", address)
            status, out, _ = await bellwire.run("agents", "list", *at, "--json")
            assert (status, json.loads(out)["agent_id"]) == (0, "echo-0")
            assert "echo-0" in (await bellwire.run("agents", "list", *at))[1]
            status, out, _ = await bellwire.run("call", "--list", *at)
            assert "text: string, times?: integer" in out
            status, out, _ = await bellwire.run("call", "repeat", '{"text": "hi"}', *at, "--json")
            assert (status, json.loads(out)["result"]) == (0, {"said": ["hi"]})
            status, out, err = await bellwire.run("call", "repeat", '{"text": "hi"}', *at)
            assert json.loads(out) == {"said": ["hi"]}
            assert err == "answered by echo-0\n"
            status, out, err = await bellwire.run("call", "repeat", '{"text": 1}', *at)
            assert (status, out) == (1, "")
            assert err.startswith("error: ")
            assert "text" in err
            before = agent.calls
            once = ("call", "repeat", '{"text": "once"}', "--request-id", "1", *at, "--json")
            answers = [json.loads((await bellwire.run(*once))[1]) for _ in range(2)]
            assert [answer["replayed"] for answer in answers] == [False, True]
            assert answers[0]["result"] == answers[1]["result"] == {"said": ["once"]}
            assert agent.calls == before + 1
            too_often = '{"text": "hi", "times": 4}'
            status, _, err = await bellwire.run("call", "repeat", too_often, *at)
            assert status == 1
            assert "no more than three times" in err
        finally:
            runner.stop()
            await running


def test_help_loads_nothing_heavy():
    """A quick start is kept by what is not imported; seconds would depend on the machine."""
    program = (
        "import sys\n"
        "from bellwire.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = ('grpc', 'numpy', 'asyncio', 'opentelemetry', 'bellwire.coordinator')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == "[]\n"
