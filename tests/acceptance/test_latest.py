"""`bellwire latest`, and the store behind it, as a user meets them."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.acceptance.test_cache import agent_of

from bellwire.client import connect

pytestmark = pytest.mark.acceptance


async def test_the_last_message_of_each_key_is_printed_as_tail_prints_it(bellwire):
    async with bellwire.serving("--set", "cache.latest=bars.>") as (_, address):
        async with connect(address) as client:
            publisher = client.publisher("tests")
            for key, data in (("EURUSD", b"1.1"), ("IBM", b"200"), ("EURUSD", b"1.2")):
                await publisher.publish("bars.1h", data, key=key)
        code, out, err = await bellwire.run("latest", "bars.1h", "EURUSD", "IBM", "-a", address)
        assert code == 0, err
        first, second = out.splitlines()
        assert "bars.1h[0]@2  EURUSD" in first
        assert first.endswith("1.2")
        assert "bars.1h[0]@1  IBM" in second

        code, out, err = await bellwire.run("latest", "bars.1h", "--json", "-a", address)
        assert code == 0, err
        found = [json.loads(line) for line in out.splitlines()]
        assert [(item["key"], item["offset"], item["data"]) for item in found] == [
            ("EURUSD", 2, "1.2"),
            ("IBM", 1, "200"),
        ]
        code, out, err = await bellwire.run("latest", "bars.1h", "IBM", "none", "-a", address)
        assert code == 1
        assert "IBM" in out
        assert "error: bars.1h has no last message of 'none'" in err

        code, out, err = await bellwire.run("info", "--json", "--address", address)
        (memory,) = json.loads(out)["cache"]["latest_levels"]
        assert (memory["name"], memory["hits"], memory["misses"]) == ("memory", 5, 1)


@pytest.mark.slow
async def test_an_answer_is_in_the_store_and_outlives_the_coordinator(bellwire):
    flags = ("--set", "cache.store=analytics", "--set", "cache.redis_ttl_seconds=30")
    for life in range(2):
        async with bellwire.serving(*flags) as (_, address), agent_of(address) as agent:
            assert await agent.line() == "ready"
            code, out, err = await bellwire.run(
                "call", "double", '{"n": 21}', "--json", "--address", address
            )
            assert code == 0, err
            assert (json.loads(out)["result"], json.loads(out)["cached"]) == (42, bool(life))
            if not life:
                async with asyncio.timeout(20):
                    code = 1
                    while code or "42" not in out:  # Written two seconds later.
                        sql = "SELECT capability, answer FROM answers"
                        code, out, err = await bellwire.run(
                            "query", sql, "--store", "analytics", "--csv"
                        )
                assert out.splitlines() == ["capability,answer", "double,42"]
            else:
                code, out, _ = await bellwire.run("info", "--address", address)
                assert "store" in out
                assert "100.0% hits, 1 of 1" in out
