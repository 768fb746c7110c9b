"""redis-py is an extra: the coordinator and its cache work without it, and who asks for Redis is told."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import asyncio, sys
sys.modules["redis"] = None
from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.config import CoordinatorSettings
from bellwire.coordinator.server import Coordinator
from bellwire.wire.settings import SettingsError

async def main() -> None:
    settings = CoordinatorSettings(listen=("127.0.0.1:0",))
    async with Coordinator(settings):
        print("serves")
    try:
        await Coordinator(settings, CacheSettings(redis="redis://:secret@127.0.0.1:1")).start()
    except SettingsError as error:
        print(error.message)

asyncio.run(main())
"""


def test_only_a_redis_that_is_asked_for_needs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.splitlines() == [
        "serves",
        "cache.redis is 'redis://:***@127.0.0.1:1'; expected empty without redis-py; install bellwire[redis]",
    ], done.stderr
