"""The lease in Redis: one script takes, renews or looks, another gives it back."""

from __future__ import annotations

from typing import Final

from bellwire.coordinator.cluster.election import Answer, LeaseTimes
from bellwire.coordinator.cluster.holder import Holder, lease_key
from bellwire.coordinator.cluster.lease_redis import LeaseRedis

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
        self.key = lease_key(group)
        self._redis = LeaseRedis(url, times.request)
        self.where = self._redis.where
        self._value = me.encode()
        self._ttl_millis = round(times.ttl * MILLIS)

    async def ask(self, *, take: bool) -> Answer:
        """Renew the lease if it is ours, take it if nobody has it and `take` says so, and tell who has it.

        Raises:
            LeaseUnavailableError: Redis did not answer, or cannot now.
            LeaseRefusedError: It refuses us, or could evict the lease.
            LeaseValueError: Something else stands there.
        """
        found, taken, left = await self._redis.ask(
            lambda redis: redis.eval(_HOLD, 1, self.key, self._value, self._ttl_millis, int(take))
        )
        holder = Holder.decode(self.key, found) if found else None
        return Answer(holder, bool(taken), max(0, int(left)) / MILLIS)

    async def release(self) -> None:
        """Give the lease back, if it is ours.

        Raises:
            LeaseUnavailableError: Redis did not answer; the lease ends by itself.
        """
        await self._redis.ask(lambda redis: redis.eval(_RELEASE, 1, self.key, self._value))

    async def close(self) -> None:
        """Close the connection; a later request opens another one."""
        await self._redis.close()
