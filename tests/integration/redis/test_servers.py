"""The Redis servers of the tests: as different as they say, killed and hung at will, a cluster that is one."""

from __future__ import annotations

import asyncio
import socket

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, ConnectionError, OutOfMemoryError, TimeoutError

from bellwire.testing._resp import ReplyError
from bellwire.testing.redis import RunningRedis, running_redis

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("name", "policy"), [("redis_noeviction", "noeviction"), ("redis_lru", "allkeys-lru")]
)
async def test_the_two_servers_differ_in_what_they_do_when_full(
    request: pytest.FixtureRequest, name: str, policy: str
) -> None:
    server: RunningRedis = request.getfixturevalue(name)
    async with redis.asyncio.from_url(server.url) as client:
        assert (await client.config_get("maxmemory-policy")) == {"maxmemory-policy": policy}


async def fill(client: redis.asyncio.Redis) -> None:
    """Write 10 MB."""
    for n in range(100):
        await client.set(f"k{n}", b"x" * 100_000)


async def test_a_full_server_refuses_or_evicts(redis_installed: None) -> None:
    with running_redis(policy="noeviction", memory_bytes=4 << 20) as strict:
        async with redis.asyncio.from_url(strict.url) as client:
            with pytest.raises(OutOfMemoryError):
                await fill(client)
    with running_redis(policy="allkeys-lru", memory_bytes=4 << 20) as forgetful:
        async with redis.asyncio.from_url(forgetful.url) as client:
            await fill(client)
            assert 0 < await client.dbsize() < 100


async def test_a_killed_server_comes_back_under_its_address(redis_installed: None) -> None:
    with running_redis(appendonly=True) as server:
        assert server.ask("SET", "kept", "yes") == "OK"
        # What is acknowledged is written at once and synced within the second: a kill loses none of it.
        await asyncio.to_thread(server.kill)
        with pytest.raises(OSError, match="refused"):
            server.ask("PING")
        await asyncio.to_thread(server.start)
        assert server.ask("GET", "kept") == "yes"
        assert server.ask("GET", "never set") == ""
    with pytest.raises(OSError, match="refused"):
        server.ask("PING")


async def test_a_server_that_hangs_answers_nobody_until_it_is_resumed(
    redis_installed: None,
) -> None:
    with running_redis() as server:
        async with redis.asyncio.from_url(server.url, socket_timeout=0.2) as client:
            server.hang()
            with pytest.raises((TimeoutError, ConnectionError)):
                await client.ping()
            server.resume()
            assert await client.ping()
        server.hang()  # And is stopped nevertheless.


async def test_a_wrong_password_is_told_from_a_right_one(redis_installed: None) -> None:
    with running_redis(password="correct") as server:
        assert server.ask("PING") == "PONG"
        wrong = server.url.replace("correct", "wrong")
        async with redis.asyncio.from_url(wrong) as client:
            with pytest.raises(AuthenticationError):
                await client.ping()
        server.password = ""
        with pytest.raises(ReplyError, match="NOAUTH"):
            server.ask("PING")
        server.password = "correct"


async def test_a_cluster_serves_every_slot_and_keeps_a_hash_tag_together(
    redis_cluster: list[RunningRedis],
) -> None:
    first = redis_cluster[0]
    async with redis.asyncio.RedisCluster(host="127.0.0.1", port=first.port) as client:
        for n in range(50):
            await client.set(f"{{tag{n}}}:a", "1")
            await client.set(f"{{tag{n}}}:b", "2")
            assert await client.mget(f"{{tag{n}}}:a", f"{{tag{n}}}:b") == [b"1", b"2"]
    holding = [int(node.ask("DBSIZE")) for node in redis_cluster]
    assert sum(holding) == 100
    assert min(holding) > 0


def test_two_servers_do_not_share_a_port(redis_installed: None) -> None:
    with running_redis() as one, running_redis() as other:
        assert one.port != other.port
        with pytest.raises(OSError, match="in use"), socket.socket() as probe:
            probe.bind(("127.0.0.1", one.port))
