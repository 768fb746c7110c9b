"""The lease in Redis: one script takes, renews or looks, another gives it back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from bellwire.coordinator.cluster.election import Answer, LeaseTimes
from bellwire.coordinator.cluster.errors import LeaseRefusedError, LeaseUnavailableError
from bellwire.coordinator.cluster.holder import Holder, lease_key
from bellwire.coordinator.redis_client import check_noeviction
from bellwire.wire.errors import RedisEvictsError, RedisRefusedError, RedisUnavailableError
from bellwire.wire.settings import without_password

__all__ = ["RedisLease"]

MILLIS: Final = 1_000
# KEYS[1] the lease; ARGV: our value, its time to live in ms, whether to take it when it is free.
# Gives the value that stands there then ("" = none), whether it was taken now, and the ms left of it.
_HOLD: Final = """\
local found = redis.call('GET', KEYS[1])
if found == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {found, 0, ARGV[2]}
end
if found then
  return {found, 0, redis.call('PTTL', KEYS[1])}
end
if ARGV[3] == '1' then
  redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
  return {ARGV[1], 1, ARGV[2]}
end
return {'', 0, 0}
"""
_RELEASE: Final = """\
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class RedisLease:
    """Requests about one group's lease, each bounded by a sixth of its time to live.

    Args:
        url: "redis://[user:password@]host:port[/database]", or "rediss://…" or "unix://…".
        group: Name of the group.
        me: What is written.
        times: Of the lease.
    """

    def __init__(self, url: str, group: str, me: Holder, times: LeaseTimes) -> None:
        self.where = without_password(url)
        self.key = lease_key(group)
        self._url = url
        self._value = me.encode()
        self._ttl_millis = round(times.ttl * MILLIS)
        self._request_seconds = times.ttl / 6
        self._redis: Redis | None = None
        self._checked = False

    async def ask(self, *, take: bool) -> Answer:
        """Renew the lease if it is ours, take it if nobody has it and `take` says so, and tell who has it.

        Raises:
            LeaseUnavailableError: Redis did not answer, or cannot now.
            LeaseRefusedError: It refuses us, or could evict the lease.
            LeaseValueError: Something else stands there.
        """
        if not self._checked:
            await self._check()
        found, taken, left = await self._script(_HOLD, self._value, self._ttl_millis, int(take))
        holder = Holder.decode(self.key, found) if found else None
        return Answer(holder, bool(taken), max(0, int(left)) / MILLIS)

    async def release(self) -> None:
        """Give the lease back, if it is ours.

        Raises:
            LeaseUnavailableError: Redis did not answer; the lease ends by itself.
        """
        await self._script(_RELEASE, self._value)

    async def close(self) -> None:
        """Close the connection; a later request opens another one."""
        redis, self._redis = self._redis, None
        self._checked = False
        if redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()

    async def _check(self) -> None:
        """See that Redis evicts nothing: a lease that is evicted would be held by two."""
        try:
            await check_noeviction(self._client(), self._url, self._request_seconds)
        except RedisUnavailableError as error:
            await self.close()
            raise LeaseUnavailableError(error.message, metadata={"redis": self.where}) from None
        except (RedisEvictsError, RedisRefusedError) as error:
            await self.close()
            raise LeaseRefusedError(error.message, metadata=error.metadata) from None
        self._checked = True

    async def _script(self, script: str, *arguments: Any) -> Any:
        return await self._bounded(self._client().eval(script, 1, self.key, *arguments))

    async def _bounded(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(self._request_seconds):
                return await request
        except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
            raise await self._refused(error) from None
        except TimeoutError:
            why = f"no answer within {self._request_seconds:g} s"
        except ResponseError as error:
            if str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
                raise await self._refused(error) from None
            why = str(error)
        except (RedisError, OSError) as error:
            why = str(error) or type(error).__name__
        await (
            self.close()
        )  # What it still answers would be taken for the answer to the next request.
        raise LeaseUnavailableError(
            f"Redis at {self.where} is away: {why}", metadata={"redis": self.where}
        )

    async def _refused(self, error: Exception) -> LeaseRefusedError:
        await self.close()
        return LeaseRefusedError(
            f"Redis at {self.where} refuses us: {error}; look at user and password in `coordinator.redis`",
            metadata={"redis": self.where},
        )

    def _client(self) -> Redis:
        if self._redis is None:
            self._redis = Redis.from_url(
                self._url,
                socket_timeout=self._request_seconds,
                socket_connect_timeout=self._request_seconds,
                retry=Retry(NoBackoff(), 0),  # The election decides when to ask again.
                single_connection_client=True,
                protocol=2,  # With 3 a connection that is dead may be taken for a live one.
            )
        return self._redis
