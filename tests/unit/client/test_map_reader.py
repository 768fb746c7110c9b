"""Where the map of groups is asked for."""

from __future__ import annotations

from bellwire.client._map_reader import MapReader
from bellwire.transport.address import parse_address
from bellwire.transport.channel import TransportSettings

TOLD = "127.0.0.1:7400"


def reader() -> MapReader:
    return MapReader([parse_address(TOLD)], TransportSettings())


def test_what_the_user_told_is_asked_first_and_what_the_map_says_after_it() -> None:
    found = reader()
    found.learn(["127.0.0.1:7401", "127.0.0.1:7400", "no address"])
    assert list(map(str, found.places)) == [TOLD, "127.0.0.1:7401"]


async def test_places_that_the_map_names_no_longer_are_forgotten() -> None:
    found = reader()
    for turn in range(50):
        found.learn([f"127.0.0.1:{8000 + turn}", "127.0.0.1:9000"])
        await found.next_place()
    # What the user told, what the map says now, and what was being asked when it said so.
    assert len(found.places) <= 4
    assert {TOLD, "127.0.0.1:8049", "127.0.0.1:9000"} <= set(map(str, found.places))


async def test_the_place_that_is_being_asked_is_kept_though_the_map_does_not_name_it() -> None:
    found = reader()
    found.learn(["127.0.0.1:7401"])
    await found.next_place()
    found.learn(["127.0.0.1:7402"])
    assert str(found.places[0]) == "127.0.0.1:7401"
    await found.next_place()
    found.learn(["127.0.0.1:7402"])
    assert sorted(map(str, found.places)) == [TOLD, "127.0.0.1:7402"]
