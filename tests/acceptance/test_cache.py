"""The cache as a user meets it: one setting, a refusal in words, a hit rate in `bellwire info`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.acceptance.conftest import Command

from bellwire.testing.redis import running_redis

pytestmark = pytest.mark.acceptance

AGENT = """
import asyncio, sys
from bellwire.client import connect
from bellwire.runtime import Agent, AgentRunner, tool

class Values(Agent):
    name = "values"

    @tool(cache_seconds=60)
    async def double(self, n: int) -> int:
        return 2 * n

async def main() -> None:
    async with connect(sys.argv[1]) as client:
        await AgentRunner(Values(), client, on_ready=lambda: print("ready", flush=True)).run()

asyncio.run(main())
"""


@asynccontextmanager
async def agent_of(address: str) -> AsyncIterator[Command]:
    """A process with the agent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, address, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Command(process)
    finally:
        process.kill()
        await process.wait()


async def test_a_second_call_is_answered_from_the_cache_and_info_says_so(bellwire):
    async with bellwire.serving() as (_, address), agent_of(address) as agent:
        assert await agent.line() == "ready"
        for cached in (False, True):
            code, out, err = await bellwire.run(
                "call", "double", '{"n": 21}', "--json", "--address", address
            )
            assert code == 0, err
            answer = json.loads(out)
            assert (answer["result"], answer["cached"]) == (42, cached)
        code, out, err = await bellwire.run("info", "--address", address)
        assert code == 0, err
        assert "1 call made, 0 failed" in out
        assert "50.0% hits, 1 of 2" in out


async def test_a_wrong_password_is_refused_in_words_without_the_password(bellwire, redis_installed):
    with running_redis(password="right") as server:
        url = server.url.replace("right", "wr0ng")
        code, _, err = await bellwire.run(
            "serve", "--listen", f"unix://{bellwire.folder}/bus.sock", "--set", f"cache.redis={url}"
        )
        assert code == 2
        assert "refuses us" in err
        assert "check user and password" in err
        assert "wr0ng" not in err
        code, out, _ = await bellwire.run("config", "show", "--json", "--set", f"cache.redis={url}")
        assert code == 0
        assert "wr0ng" not in out


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "localhost:6379"])
async def test_an_absent_redis_is_warned_of_and_an_impossible_one_refused(
    bellwire, redis_installed, url
):
    flags = ("--set", f"cache.redis={url}")
    if url.startswith("redis://"):
        async with bellwire.serving(*flags) as (command, address):
            code, out, _ = await bellwire.run("info", "--json", "--address", address)
            levels = json.loads(out)["cache"]["levels"]
            assert (code, [level["name"] for level in levels]) == (0, ["memory", "redis"])
            command.signal(15)
            assert "begins without its second level" in (await command.end())[2]
        return
    code, _, err = await bellwire.run("serve", *flags)
    assert code == 2
    assert "cache.redis is 'localhost:6379'; expected redis://" in err
