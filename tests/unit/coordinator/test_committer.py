"""bellwire.coordinator.committer: groups go to the store as soon as it is free, on every event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from bellwire.coordinator.committer import Committer
from bellwire.coordinator.core.engine import Engine, EngineSettings
from bellwire.coordinator.core.topic import LogKind, TopicSettings
from bellwire.coordinator.log.sqlite.store import SqliteStore
from bellwire.coordinator.services.once import durable
from bellwire.wire.batch import encode_batch
from bellwire.wire.message import new_message

DEADLINE_SECONDS = 10.0
Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_batch_does_not_wait_for_company_behind_a_cursor(run: Runner, tmp_path, monkeypatch):
    monkeypatch.setattr("bellwire.coordinator.core.journal.LAZY_SECONDS", 3_600.0)

    async def scenario() -> None:
        store = SqliteStore(str(tmp_path))
        settings = EngineSettings(
            default_settings=TopicSettings(1, 100, 1 << 20, log=LogKind.SQLITE)
        )
        engine = Engine(settings, store.load(), has_store=True, clock_ns=time.time_ns)
        committer = Committer(engine, store)
        topic = engine.bus.topic("orders", 0)
        await durable(engine.journal.barrier())
        partition = topic.partitions[0]
        engine.journal.mark(partition._producers_mark)  # Something that may wait an hour.
        await asyncio.sleep(0)  # The committer looks, and sets its timer.
        partition.append(encode_batch("orders", 0, [new_message(data=b"x")]), 1)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await durable(engine.journal.barrier())
        assert partition.log.high_watermark == 1
        await committer.close()

    run(scenario())
