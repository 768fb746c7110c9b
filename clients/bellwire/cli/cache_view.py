"""The cache of a coordinator, as rows of a table and as JSON."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from bellwire.admin.v1.server_pb2 import CacheInfo, CacheLevelInfo
from bellwire.cli.output import Style, harmless
from bellwire.cli.units import bytes_text, count_text, counted_text

__all__ = ["add_cache", "cache_json"]


def add_cache(table: Table, cache: CacheInfo) -> None:
    """Add a row for what the cache spared, one for each level, and one for the last messages kept."""
    if cache.latest_keys or any(level.hits for level in cache.latest_levels):
        dropped = f", {count_text(cache.latest_dropped)} dropped" if cache.latest_dropped else ""
        table.add_row(
            "last messages",
            f"of {counted_text(cache.latest_keys, 'key')}, {bytes_text(cache.latest_bytes)}{dropped}",
        )
    for level in cache.latest_levels:
        if level.hits or level.misses:
            table.add_row(f"  {escape(harmless(level.name))}", _level_text(level))
    if not any(level.hits or level.misses or level.skipped for level in cache.levels):
        table.add_row("cache", "nothing was asked that an agent declares cacheable")
        return
    table.add_row(
        "cache",
        f"{counted_text(cache.made_calls, 'call')} made, {count_text(cache.failed_calls)} failed, "
        f"{count_text(cache.shared_calls)} shared one under way, "
        f"{counted_text(cache.outdated_capabilities, 'time')} outdated"
        + (f", {count_text(cache.heard_outdated)} heard of" if cache.heard_outdated else ""),
    )
    if cache.stored_answers or cache.unstored_answers:
        lost = f", {count_text(cache.unstored_answers)} not" if cache.unstored_answers else ""
        table.add_row("  to the store", f"{counted_text(cache.stored_answers, 'answer')}{lost}")
    for level in cache.levels:
        table.add_row(f"  {escape(harmless(level.name))}", _level_text(level))


def hit_rate(level: CacheLevelInfo) -> float | None:
    """Return the share of questions to a level that it answered, 0 to 1; None when it was asked nothing."""
    asked = level.hits + level.misses
    return level.hits / asked if asked else None


def _level_text(level: CacheLevelInfo) -> str:
    rate = hit_rate(level)
    parts = ["asked nothing"] if rate is None else [
        f"{rate:.1%} hits", f"{count_text(level.hits)} of {count_text(level.hits + level.misses)}"
    ]  # fmt: skip
    if level.entries or level.evicted:
        parts.append(f"{count_text(level.entries)} kept, {bytes_text(level.bytes)}")
    for count, word in (
        (level.stale, "stale"),
        (level.evicted, "evicted"),
        (level.refused, "too large"),
        (level.garbage, "unreadable"),
        (level.failures, "failures"),
        (level.skipped, "skipped"),
    ):
        if count:
            parts.append(f"{count_text(count)} {word}")
    if level.state not in ("", "closed"):
        parts.append(f"[{Style.BAD}]left out: {escape(harmless(level.state))}[/]")
    return ", ".join(parts)


def cache_json(cache: CacheInfo) -> dict[str, object]:
    """Return the cache as one object; a level's `hit_rate` is null when it was asked nothing."""
    return {
        "made_calls": cache.made_calls,
        "failed_calls": cache.failed_calls,
        "shared_calls": cache.shared_calls,
        "outdated_capabilities": cache.outdated_capabilities,
        "latest_keys": cache.latest_keys,
        "latest_bytes": cache.latest_bytes,
        "latest_dropped": cache.latest_dropped,
        "heard_outdated": cache.heard_outdated,
        "hears_others": cache.hears_others,
        "stored_answers": cache.stored_answers,
        "unstored_answers": cache.unstored_answers,
        "levels": [_level_json(level) for level in cache.levels],
        "latest_levels": [_level_json(level) for level in cache.latest_levels],
    }


def _level_json(level: CacheLevelInfo) -> dict[str, object]:
    return {
        "name": level.name,
        "state": level.state,
        "hit_rate": hit_rate(level),
        "hits": level.hits,
        "misses": level.misses,
        "stale": level.stale,
        "garbage": level.garbage,
        "failures": level.failures,
        "skipped": level.skipped,
        "entries": level.entries,
        "bytes": level.bytes,
        "evicted": level.evicted,
        "refused": level.refused,
    }
