"""How far the topics have come that outdate a capability: what proves an answer after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from bellwire.coordinator.core.topic import Topic
from bellwire.wire.topic import TopicPattern

__all__ = ["MARK_BYTES", "mark_of"]

MARK_BYTES: Final = 16


def mark_of(topics: Mapping[str, Topic], patterns: Iterable[TopicPattern]) -> str | None:
    """Return what changes with each message that outdates, or None when that cannot be known for long.

    It is a digest of the patterns, of the topics they name, and of each partition's log and high watermark. An answer
    made under a mark is meant for as long as the mark is the same: no clock is asked, and a restart changes nothing.
    A topic in memory ends with the process, and of one that is not here nobody knows what happens elsewhere: no mark.

    Costs a look at each topic for a pattern with `*` or `>`.
    """
    digest = blake2b(digest_size=MARK_BYTES)
    found: dict[str, Topic] = {}
    for pattern in sorted(patterns, key=lambda pattern: pattern.text):
        digest.update(pattern.text.encode() + b"\0")
        matched = list(_matching(topics, pattern))
        if not matched:
            return None
        found.update((topic.name, topic) for topic in matched)
    for name in sorted(found):
        digest.update(b"\1" + name.encode())
        for partition in found[name].partitions:
            log = partition.log
            if not log.durable:
                return None
            digest.update(b"\2%d %d" % (log.log_id, log.high_watermark))
    return digest.hexdigest()


def _matching(topics: Mapping[str, Topic], pattern: TopicPattern) -> Iterator[Topic]:
    if pattern.literal:
        topic = topics.get(pattern.text)
        if topic is not None:
            yield topic
        return
    for name, topic in topics.items():
        if pattern.matches(name):
            yield topic
