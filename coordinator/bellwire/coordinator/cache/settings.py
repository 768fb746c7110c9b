"""Settings of the cache."""

from __future__ import annotations

from dataclasses import dataclass, field

from bellwire.policy.bounded_cache import CacheBounds
from bellwire.wire.settings import SettingsError, check_settings, setting
from bellwire.wire.topic import TopicPattern


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How much is remembered, where and for how long; nothing is that no agent declared cacheable."""

    entries_max: int = field(
        default=100_000,
        metadata=setting(
            unit="entries",
            why="In memory; beyond, the least recently used go",
            ge=1,
            le=100_000_000,
        ),
    )
    bytes_max: int = field(
        default=512 << 20,
        metadata=setting(
            unit="bytes",
            why="In memory, as serialized and with what an entry costs; beyond, the least recently used go",
            ge=1 << 20,
            le=1 << 40,
        ),
    )
    value_bytes_max: int = field(
        default=256 << 10,
        metadata=setting(
            unit="bytes",
            why="A larger answer is not cached: one of them would cost hundreds of small ones",
            ge=1,
            le=1 << 20,
        ),
    )
    ttl_seconds: float = field(
        default=60.0,
        metadata=setting(
            unit="s",
            why="Longest life in memory, where other coordinators cannot outdate it",
            gt=0,
            le=86_400,
        ),
    )
    negative_ttl_seconds: float = field(
        default=1.0,
        metadata=setting(
            unit="s",
            why="Life of an answer that says the tool failed: spares it a storm, not a second try; 0 = not cached",
            ge=0,
            le=3_600,
        ),
    )
    settle_seconds: float = field(
        default=0.1,
        metadata=setting(
            unit="s",
            why="After a message that outdates answers, those begun sooner are not kept: "
            "the agent may not have taken it in",
            ge=0,
            le=60,
        ),
    )
    redis: str = field(
        default="",
        metadata=setting(
            unit="redis://[:PASSWORD@]HOST:PORT",
            why="Second level, shared and outliving the process; one of its own with allkeys-lru; empty = none",
        ),
    )
    redis_cluster: bool = field(
        default=False,
        metadata=setting(unit="", why="Whether `redis` names a node of a cluster"),
    )
    redis_prefix: str = field(
        default="bellwire",
        metadata=setting(unit="", why="Begins every key: two buses on one Redis need two"),
    )
    redis_ttl_seconds: float = field(
        default=300.0,
        metadata=setting(unit="s", why="Longest life in Redis", gt=0, le=86_400),
    )
    redis_connections: int = field(
        default=50,
        metadata=setting(
            unit="connections",
            why="Requests to Redis at once; others wait their turn within the same bound, then do without it",
            ge=1,
            le=10_000,
        ),
    )
    redis_timeout_seconds: float = field(
        default=0.1,
        metadata=setting(
            unit="s",
            why="Longest wait for Redis, which takes under a millisecond: a slow one must cost less than the call",
            gt=0,
            le=10,
        ),
    )
    store_timeout_seconds: float = field(
        default=1.0,
        metadata=setting(unit="s", why="Longest wait for the third level", gt=0, le=60),
    )
    store: str = field(
        default="",
        metadata=setting(
            unit="",
            why="Folder of an analytic store, third level: what `bellwire sink` writes there, and answers that live "
            "longer than in Redis; empty = none, it needs DuckDB",
        ),
    )
    store_ttl_seconds: float = field(
        default=604_800.0,
        metadata=setting(unit="s", why="Longest life in the store: a week", gt=0, le=31_536_000),
    )
    store_days: int = field(
        default=30,
        metadata=setting(
            unit="days",
            why="Of stored messages, looked through for the last one of a key, the newest first",
            ge=1,
            le=3_650,
        ),
    )
    latest: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            unit="",
            why="Topics or patterns whose last message of each key is kept; none: their batches are opened for it",
        ),
    )
    latest_keys_max: int = field(
        default=100_000,
        metadata=setting(
            unit="keys",
            why="Per topic; beyond, the keys that were silent longest go",
            ge=1,
            le=100_000_000,
        ),
    )
    latest_bytes_max: int = field(
        default=64 << 20,
        metadata=setting(
            unit="bytes",
            why="Per topic; beyond, the keys that were silent longest go",
            ge=1 << 20,
            le=1 << 40,
        ),
    )
    latest_warm_messages: int = field(
        default=100_000,
        metadata=setting(
            unit="messages",
            why="Read from the end of each partition at the start; a key silent for longer has no last message",
            ge=0,
            le=1_000_000_000,
        ),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for text in self.latest:
            TopicPattern(text)
        if not self.redis_prefix or set(self.redis_prefix) & set("{}: \r\n"):
            raise SettingsError(
                "cache", "redis_prefix", self.redis_prefix, "a word without braces, colons and blanks"
            )  # fmt: skip

    @property
    def bounds(self) -> CacheBounds:
        """What the first level keeps."""
        return CacheBounds(
            entries_max=self.entries_max,
            bytes_max=self.bytes_max,
            entry_bytes_max=min(self.value_bytes_max + ENTRY_BYTES, self.bytes_max),
            ttl_seconds=self.ttl_seconds,
            negative_ttl_seconds=self.negative_ttl_seconds,
        )


ENTRY_BYTES = 1_024  # What an entry costs beside its value: key, objects, tables.
