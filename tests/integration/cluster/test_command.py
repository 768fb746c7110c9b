"""`bellwire serve` in a group that cannot be, and `make cluster`."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from tests.crash.processes import environment
from tests.integration.cluster.processes import free_ports

from bellwire.coordinator.cluster.topic_groups import GROUPS_KEY
from bellwire.testing.redis import RunningRedis

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

END_SECONDS = 60.0


async def refused(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """Run `bellwire serve` to its end; return its status and what it said."""
    words = ("-m", "bellwire.cli", "serve", "--listen", "127.0.0.1:0", *arguments)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=folder, env=environment(), stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(END_SECONDS):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_a_redis_that_may_evict_the_lease_is_a_usage_error(
    redis_lru: RunningRedis, tmp_path: Path
) -> None:
    status, said = await refused(tmp_path, "--kafka", "127.0.0.1:1", "--redis", redis_lru.url)
    assert status == 2
    assert "maxmemory-policy 'allkeys-lru'" in said


async def test_a_group_without_kafka_is_a_usage_error(tmp_path: Path) -> None:
    status, said = await refused(tmp_path, "--redis", "redis://127.0.0.1:1")
    assert status == 2
    assert "kafka" in said


async def test_a_group_that_is_to_have_topics_of_another_is_a_usage_error(
    redis_noeviction: RunningRedis, tmp_path: Path
) -> None:
    redis_noeviction.ask("HSET", GROUPS_KEY, "orders", '{"topics":["orders.>"]}')
    place = ("--kafka", "127.0.0.1:1", "--redis", redis_noeviction.url)
    wanted = ("--group", "fills", "--topics", "fills.>,*.new")
    status, said = await refused(tmp_path, *place, *wanted)
    assert status == 2
    assert "group 'fills' is to have '*.new', and 'orders.>' of group 'orders'" in " ".join(
        said.split()
    )


@pytest.mark.parametrize(
    ("topics", "words"),
    [("", "--topics is empty"), ("orders.>.new", "group_topics"), ("orders.>", "without `redis`")],
)
async def test_topics_that_cannot_be_are_a_usage_error(
    tmp_path: Path, topics: str, words: str
) -> None:
    status, said = await refused(tmp_path, "--kafka", "127.0.0.1:1", "--topics", topics)
    assert status == 2
    assert words in said


async def test_all_topics_of_a_repeated_flag_count(tmp_path: Path) -> None:
    flags = ("--topics", "orders.>.new", "--topics", "fills.>")
    status, said = await refused(tmp_path, "--kafka", "127.0.0.1:1", *flags)
    assert status == 2
    assert "orders.>.new" in said


@pytest.mark.slow
async def test_make_cluster_runs_three_of_which_one_is_active(
    kafka_jars: None, redis_installed: None, tmp_path: Path
) -> None:
    words = ("-m", "bellwire.testing.cluster", "--port", str(free_ports(3)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=tmp_path, env=environment(), stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(END_SECONDS):
            while said.count(b"is standby") < 2 or b"is ACTIVE" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(END_SECONDS):
            await process.communicate()
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)  # It ends what it has started.
            async with asyncio.timeout(END_SECONDS):
                await process.communicate()
