"""Redis as the coordinator meets it: clients that never wait long, and what a server must be to be trusted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from bellwire.wire.errors import (
    RedisEvictsError,
    RedisRefusedError,
    RedisUnavailableError,
)
from bellwire.wire.settings import SettingsError, without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "NO_EVICTION",
    "RedisClient",
    "check_noeviction",
    "eviction_policy",
    "is_answer",
    "is_refusal",
    "open_client",
    "open_listener",
]

NO_EVICTION: Final = "noeviction"
PROTOCOL: Final = 2  # With 3 redis-py keeps connections it cannot tell from dead ones.
CLUSTER_TRIES: Final = 2  # A slot that has moved is asked for at its new node.


class RedisClient(Protocol):
    """What we use of redis-py, of one server and of a cluster alike."""

    async def execute_command(self, *args: object) -> Any:
        """Send a command and return the reply."""

    async def aclose(self) -> None:
        """Close all connections."""


def open_client(
    url: str, *, cluster: bool, connections: int, timeout_seconds: float
) -> RedisClient:
    """Return a client; it connects when it is first used.

    It tries nothing twice: whoever uses it knows better how long is worth waiting.

    Args:
        url: "redis://[[USER]:PASSWORD@]HOST:PORT[/DB]", "rediss://…" or "unix://…".
        cluster: Whether it names a node of a cluster.
        connections: Most at once.
        timeout_seconds: For connecting, and for each reply.

    Raises:
        SettingsError: The URL cannot be read, or redis-py is not installed.
    """
    try:
        from redis import asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise SettingsError(
            "cache",
            "redis",
            without_password(url),
            "empty without redis-py; install bellwire[redis]",
        ) from error
    options: dict[str, Any] = {
        "max_connections": connections,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "protocol": PROTOCOL,
        "retry": Retry(NoBackoff(), CLUSTER_TRIES if cluster else 0),
    }
    try:
        client = (
            redis.RedisCluster.from_url(url, **options)
            if cluster
            else redis.Redis.from_pool(redis.ConnectionPool.from_url(url, **options))
        )
    except ValueError:  # Its words may hold a part of the password.
        expected = (
            "redis://[:PASSWORD@]HOST:PORT; '/', '?' and '#' of a password as %2F, %3F and %23"
        )
        raise SettingsError("cache", "redis", without_password(url), expected) from None
    return cast("RedisClient", client)


def open_listener(url: str, *, timeout_seconds: float) -> Any:
    """Return a client of redis-py for a subscription, of the one server that the URL names.

    A node of a cluster tells what was published at any other.

    Args:
        url: As for `open_client`, which has read it before.
        timeout_seconds: For connecting, and for each reply.
    """
    from redis import asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = redis.ConnectionPool.from_url(
        url,
        max_connections=1,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        protocol=PROTOCOL,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


async def eviction_policy(client: RedisClient, url: str, timeout_seconds: float) -> str:
    """Return what the server does when its memory is full, for example "allkeys-lru".

    Raises:
        RedisRefusedError: It wants another password, or lets us do nothing.
        RedisUnavailableError: It cannot be reached, or does not answer in time.
    """
    # INFO and not CONFIG GET, which those who rent servers out do not allow.
    told = await _ask(client, url, timeout_seconds, "INFO", "memory")
    if isinstance(told, dict):
        if "maxmemory_policy" not in told:  # Of a cluster: node by node.
            told = next(iter(told.values()), {})
        return str(told.get("maxmemory_policy", ""))
    lines = told.decode() if isinstance(told, bytes) else str(told)
    found = [line.partition(":")[2] for line in lines.splitlines() if line.startswith("maxmemory_policy:")]  # fmt: skip
    return found[0].strip() if found else ""


async def check_noeviction(client: RedisClient, url: str, timeout_seconds: float) -> None:
    """Refuse a server that forgets keys when its memory is full: leases must not be forgotten.

    Raises:
        RedisEvictsError: It does.
        RedisRefusedError, RedisUnavailableError: See `eviction_policy`.
    """
    policy = await eviction_policy(client, url, timeout_seconds)
    if policy != NO_EVICTION:
        raise RedisEvictsError(
            f"Redis at {without_password(url)} has maxmemory-policy {policy or 'unknown'!r} and may forget leases: "
            f"give them one with `maxmemory-policy {NO_EVICTION}`, apart from that of the cache",
            metadata={"policy": policy},
        )


async def _ask(client: RedisClient, url: str, timeout_seconds: float, *words: str) -> Any:
    from redis.exceptions import RedisClusterException, RedisError

    try:
        async with asyncio.timeout(timeout_seconds):
            return await client.execute_command(*words)
    except (RedisError, RedisClusterException, OSError) as error:  # TimeoutError is an OSError.
        said = str(error) or type(error).__name__
        if is_refusal(error):
            raise RedisRefusedError(
                f"Redis at {without_password(url)} refuses us ({said}): check user and password of the URL"
            ) from None
        raise RedisUnavailableError(
            f"Redis at {without_password(url)} does not answer within {timeout_seconds:g} s ({said}): "
            "check the address, or start it"
        ) from None


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error, or what led to it, says that we are not allowed in."""
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

    kinds = (AuthenticationError, AuthorizationError, NoPermissionError)
    return any(
        isinstance(cause, kinds) or "NOAUTH" in str(cause) or "WRONGPASS" in str(cause)
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):  # Chains are short; a loop in one would not be.
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def is_answer(error: BaseException) -> bool:
    """Tell whether the server has answered, if only to say no."""
    from redis.exceptions import ClusterError, ResponseError

    return isinstance(error, ResponseError) and not isinstance(error, ClusterError)
