"""bellwire.cli.cache_view: what the cache spared, level by level."""

from __future__ import annotations

import io

from rich.console import Console

from bellwire.admin.v1.server_pb2 import CacheInfo, CacheLevelInfo
from bellwire.cli.cache_view import add_cache, cache_json
from bellwire.cli.output import plain_table


def rendered(cache: CacheInfo) -> str:
    table = plain_table("", "")
    add_cache(table, cache)
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    return out.getvalue()


CACHE = CacheInfo(
    levels=[
        CacheLevelInfo(
            name="memory", state="closed", hits=900, misses=100, entries=80, bytes=1 << 20, stale=3
        ),
        CacheLevelInfo(name="redis", state="open", hits=0, misses=0, skipped=100, failures=3),
    ],
    made_calls=100,
    failed_calls=2,
    shared_calls=7,
    outdated_capabilities=4,
)


def test_every_level_shows_its_hit_rate_and_what_ails_it() -> None:
    text = rendered(CACHE)
    assert "100 calls made, 2 failed, 7 shared one under way, 4 times outdated" in text
    assert "90.0% hits, 900 of 1,000, 80 kept, 1.00 MiB, 3 stale" in text
    assert "asked nothing, 3 failures, 100 skipped, left out: open" in text


def test_last_messages_have_hit_rates_of_their_own() -> None:
    levels = [
        CacheLevelInfo(name="memory", state="closed", hits=3, misses=1),
        CacheLevelInfo(name="store", state="closed", hits=1, misses=0),
        CacheLevelInfo(name="redis", state="closed"),
    ]
    text = rendered(CacheInfo(latest_levels=levels, latest_keys=2, latest_bytes=2_048))
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0][:4] == ["last", "messages", "of", "2"]
    assert lines[1] == ["memory", "75.0%", "hits,", "3", "of", "4"]
    assert lines[2] == ["store", "100.0%", "hits,", "1", "of", "1"]
    assert len(lines) == 4  # And that no call was cached.


def test_what_went_to_the_store_and_what_was_heard_is_told() -> None:
    cache = CacheInfo(stored_answers=1_200, unstored_answers=3, heard_outdated=5)
    cache.MergeFrom(CACHE)
    text = rendered(cache)
    assert "4 times outdated, 5 heard of" in text
    assert "1,200 answers, 3 not" in text
    told = cache_json(cache)
    assert (told["stored_answers"], told["unstored_answers"], told["heard_outdated"]) == (1_200, 3, 5)  # fmt: skip
    assert told["hears_others"] is False


def test_an_idle_cache_says_why() -> None:
    idle = CacheInfo(levels=[CacheLevelInfo(name="memory", state="closed")])
    assert "nothing was asked that an agent declares cacheable" in rendered(idle)


def test_json_holds_the_rates() -> None:
    levels = cache_json(CACHE)["levels"]
    assert isinstance(levels, list)
    assert [(level["name"], level["hit_rate"]) for level in levels] == [
        ("memory", 0.9),
        ("redis", None),
    ]


def test_a_name_from_elsewhere_is_shown_as_text() -> None:
    odd = CacheInfo(levels=[CacheLevelInfo(name="[red]\x1b[31m", state="[b]", hits=1)])
    assert "\x1b" not in rendered(odd)
    assert "[red]" in rendered(odd)


def test_last_messages_are_shown_where_there_are_some() -> None:
    kept = CacheInfo(latest_keys=2_000, latest_bytes=1 << 20, latest_dropped=7)
    assert "of 2,000 keys, 1.00 MiB, 7 dropped" in rendered(kept)
    assert "last messages" not in rendered(CACHE)
    assert cache_json(kept)["latest_dropped"] == 7
