"""RedisDirectory on a real Redis: who has an id, what stands there, and who hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from bellwire.coordinator.core.remotes import Place
from bellwire.coordinator.federation import redis_directory
from bellwire.coordinator.federation.directory import Renewal
from bellwire.coordinator.federation.errors import DirectoryFullError, DirectoryUnavailableError
from bellwire.coordinator.federation.redis_directory import RedisDirectory
from bellwire.testing.redis import RunningRedis, running_redis

pytestmark = pytest.mark.integration

TTL_SECONDS = 3.0
RENEWAL = Renewal(b"head", b"roster", 1, announce=True)


class Sharers:
    """Coordinators of one directory."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"d-{uuid4().hex}"
        self.made: list[RedisDirectory] = []

    def join(self, group: str, ttl_seconds: float = TTL_SECONDS) -> tuple[Place, RedisDirectory]:
        place = Place(uuid4().hex, group, f"{group}:7400")
        self.made.append(RedisDirectory(self.url, self.name, place, ttl_seconds))
        return place, self.made[-1]


@pytest.fixture
async def sharers(redis_noeviction: RunningRedis) -> AsyncIterator[Sharers]:
    made = Sharers(redis_noeviction.url)
    yield made
    for one in made.made:
        await one.close()


async def test_an_id_has_one_holder_until_it_gives_it_back(sharers: Sharers):
    place, one = sharers.join("one")
    other_place, other = sharers.join("other")
    assert await one.claim("a") is None
    assert await one.claim("a") is None
    assert await other.claim("a") == place
    assert await other.hold(["a", "b"]) == [("a", place)]
    await other.release(["a"])
    assert await other.claim("a") == place
    await one.release(["a"])
    assert await other.claim("a") is None
    assert await one.hold(["a"]) == [("a", other_place)]


async def test_the_next_one_of_a_group_has_its_ids_at_once(sharers: Sharers):
    _, before = sharers.join("group")
    place, after = sharers.join("group")
    assert await before.claim("a") is None
    assert await after.claim("a") is None
    # The one before does not take it back.
    assert await before.hold(["a"]) == [("a", place)]


async def test_an_id_whose_holder_is_gone_is_free_when_its_lease_has_ended(sharers: Sharers):
    place, gone = sharers.join("gone", ttl_seconds=1.2)
    _, next_ = sharers.join("next")
    assert await gone.claim("a") is None
    assert await next_.claim("a") == place
    async with asyncio.timeout(5):
        while await next_.claim("a") is not None:
            pass


async def test_what_nobody_of_ours_has_written_is_overwritten(
    sharers: Sharers, redis_noeviction: RunningRedis
):
    _, one = sharers.join("one")
    for number, value in enumerate(("nonsense", "[1]", '{"id":1}', "7")):
        redis_noeviction.ask("SET", one.keys.agent(f"a{number}"), value)
        assert await one.claim(f"a{number}") is None
        redis_noeviction.ask("SET", one.keys.agent(f"a{number}"), value)
        assert await one.hold([f"a{number}"]) == []


async def test_more_ids_than_one_request_takes(sharers: Sharers):
    place, one = sharers.join("one")
    _, other = sharers.join("other")
    ids = [f"a{number}" for number in range(1_203)]
    assert await one.hold(ids) == []
    assert await other.hold(ids) == [(id_, place) for id_ in ids]
    await one.release(ids)
    assert await other.hold(ids) == []


async def test_a_record_is_seen_by_all_until_it_is_taken_back(sharers: Sharers):
    place, one = sharers.join("one")
    _, other = sharers.join("other")
    assert await one.keep(RENEWAL)
    (found,) = await other.look()
    assert (found.id, found.head) == (place.id, b"head")
    assert 0 < found.left_seconds <= TTL_SECONDS
    assert await one.keep(RENEWAL._replace(head=b"later", roster=b""))
    (found,) = await other.look()
    assert found.head == b"later"
    assert await other.rosters([place.id, "nobody"]) == [(place.id, b"roster"), ("nobody", b"")]
    await one.leave(["a"])
    assert await other.look() == []


async def test_a_roster_that_redis_has_lost_is_asked_for(
    sharers: Sharers, redis_noeviction: RunningRedis
):
    place, one = sharers.join("one")
    await one.keep(RENEWAL)
    redis_noeviction.ask("DEL", one.keys.record(place.id))
    assert not await one.keep(RENEWAL._replace(roster=b""))
    assert await one.look() == []
    assert await one.keep(RENEWAL)


async def test_there_is_room_for_so_many_coordinators_dead_ones_not_counted(
    sharers: Sharers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_directory, "COORDINATORS_MAX", 2)
    (_, one), (_, two), (_, three) = (sharers.join(name) for name in ("one", "two", "three"))
    await one.keep(RENEWAL)
    await two.keep(RENEWAL)
    with pytest.raises(DirectoryFullError, match="2 active coordinators"):
        await three.keep(RENEWAL)
    await one.keep(RENEWAL)
    await two.leave([])
    await three.keep(RENEWAL)
    assert len(await one.look()) == 2


async def test_who_listens_hears_of_changes(sharers: Sharers):
    place, one = sharers.join("one")
    _, other = sharers.join("other")
    heard: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(other.listen(heard.put_nowait))
    try:
        async with asyncio.timeout(10):
            assert await heard.get() == ""
            await one.keep(RENEWAL._replace(announce=False))
            await one.keep(RENEWAL)
            assert await heard.get() == place.id
            await one.leave([])
            assert await heard.get() == place.id
        assert heard.empty()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_without_redis_every_request_says_so_in_time(redis_installed: None):
    with running_redis() as server:
        sharers = Sharers(server.url)
        _, one = sharers.join("one", ttl_seconds=0.6)
        assert await one.claim("a") is None
        server.hang()
        with pytest.raises(DirectoryUnavailableError, match="is away"):
            await one.claim("a")
        server.resume()
        assert await one.claim("b") is None  # On another connection: no answer to the one before.
        await asyncio.to_thread(server.kill)
        for asking in (one.claim("a"), one.look(), one.keep(RENEWAL), one.listen(print)):
            with pytest.raises(DirectoryUnavailableError):
                await asking
        await asyncio.to_thread(server.start)
        assert await one.claim("a") is None
        await one.close()
