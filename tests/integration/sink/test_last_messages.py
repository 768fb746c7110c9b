"""The newest stored message of each key, as a coordinator's cache reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.integration.sink.conftest import NOON_NS, Nobody, Shop

from bellwire.bus.v1.message_pb2 import Message
from bellwire.client.received import Batch
from bellwire.sink.cache_store import CacheStore
from bellwire.sink.columns import day_of, rows_of
from bellwire.sink.errors import AnalyticStoreError

pytestmark = pytest.mark.integration

DAY_NS = 86_400 * 1_000_000_000
HERE, THERE = 7, 8  # Logs.


def put(
    shop: Shop,
    first: int,
    messages: Sequence[Message],
    *,
    topic: str = "bars",
    log_id: int = HERE,
    partition: int = 0,
    days_ago: int = 0,
) -> None:
    """Store messages as a delivery of that place."""
    for number, message in enumerate(messages):
        message.id = message.id or f"{topic}-{log_id}-{partition}-{first + number}"
    batch = Batch(
        messages,
        topic,
        partition,
        first,
        Nobody(),
        admitted_time_unix_nano=NOON_NS - days_ago * DAY_NS + first,
        log_id=log_id,
    )
    rows = rows_of(batch, NOON_NS + first)
    shop.writer.write(day_of(rows[0]), rows)


def bar(key: str, data: bytes) -> Message:
    return Message(source="tests", key=key, data=data)


async def found(
    shop: Shop,
    *keys: str,
    logs: Sequence[int] = (HERE,),
    any_log: bool = False,
    days_max: int = 30,
) -> tuple[dict[str, tuple[bytes, int]], Mapping[int, int]]:
    """Ask a store of its own."""
    store = CacheStore(shop.root, days_max=days_max, seconds_max=20, answer_seconds=60)
    await store.open()
    try:
        answer = await store.last_messages("bars", keys, logs, any_log=any_log)
        covered = await store.covered("bars", logs)
    finally:
        await store.close()
    return {item.message.key: (item.message.data, item.offset) for item in answer}, covered


async def test_the_newest_of_each_key_is_found_over_files_and_days(shop: Shop):
    put(shop, 0, [bar("a", b"0"), bar("b", b"1"), bar("c", b"2")], days_ago=9)
    put(shop, 3, [bar("a", b"3"), bar("", b"keyless")], days_ago=2)
    put(shop, 5, [bar("b", b"5"), bar("b", b"6")])
    put(shop, 0, [bar("a", b"other")], topic="trades")
    assert await found(shop, "a", "b", "c", "none") == (
        {"a": (b"3", 3), "b": (b"6", 6), "c": (b"2", 0 + 2)},
        {0: 7},
    )
    assert (await found(shop))[0].keys() == {"a", "b", "c"}


async def test_messages_of_another_log_count_only_where_it_is_asked_for(shop: Shop):
    put(shop, 50, [bar("a", b"before"), bar("b", b"before")], log_id=THERE)
    put(shop, 0, [bar("a", b"now")], days_ago=1)  # Of today's log, though an earlier day.
    assert await found(shop, "a", "b") == ({"a": (b"now", 0)}, {0: 1})
    assert await found(shop, "b", any_log=True) == ({"b": (b"before", 51)}, {0: 1})


async def test_each_partition_is_covered_by_itself(shop: Shop):
    put(shop, 0, [bar("a", b"x")], days_ago=5)
    put(shop, 3, [bar("b", b"x")], partition=1, log_id=THERE)
    _, covered = await found(shop, "a", logs=(HERE, THERE, 9))
    assert covered == {0: 1, 1: 4}


async def test_days_beyond_the_bound_are_not_looked_through(shop: Shop):
    put(shop, 0, [bar("a", b"old")], days_ago=5)
    put(shop, 1, [bar("b", b"new")])
    assert (await found(shop, "a", "b", days_max=5))[0].keys() == {"b"}
    assert (await found(shop, "a", "b", days_max=6))[0].keys() == {"a", "b"}


async def test_a_message_comes_back_as_it_was(shop: Shop):
    message = Message(
        id="1",
        source="agents/a",
        type="bellwire.trading.v1.Bar",
        subject="s",
        key="a'b\"c",
        time_unix_nano=NOON_NS + 1,
        expire_time_unix_nano=NOON_NS + 2,
        not_before_time_unix_nano=NOON_NS + 3,
        correlation_id="c",
        causation_id="d",
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        tracestate="x=y",
        schema="v1",
        data=bytes(range(256)),
        attributes={"one": "1", "ä": "ö"},
    )
    put(shop, 0, [message])
    store = CacheStore(shop.root, seconds_max=20, answer_seconds=60)
    await store.open()
    (item,) = await store.last_messages("bars", ["a'b\"c"], [HERE], any_log=False)
    await store.close()
    assert item.message == message
    assert (item.partition, item.offset, item.log_id) == (0, 0, HERE)


async def test_a_torn_file_is_left_out(shop: Shop):
    put(shop, 0, [bar("a", b"old")])
    before = {file.path for file in shop.folder.files()}
    put(shop, 1, [bar("a", b"new"), bar("b", b"new")])
    (torn,) = {file.path for file in shop.folder.files()} - before
    torn.write_bytes(torn.read_bytes()[:100])
    assert await found(shop, "a", "b") == ({"a": (b"old", 0)}, {0: 1})


async def test_a_folder_without_a_sink_has_no_messages(tmp_path: Path):
    store = CacheStore(tmp_path / "new", answer_seconds=60)
    with pytest.raises(AnalyticStoreError, match="not open"):
        await store.covered("bars", [HERE])
    for _ in range(2):  # It may be opened again.
        await store.open()
        assert list(await store.last_messages("bars", ["a"], [HERE], any_log=True)) == []
        assert await store.covered("bars", [HERE]) == {}
        await store.close()
