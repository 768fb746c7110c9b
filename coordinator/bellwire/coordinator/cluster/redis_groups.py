"""What groups have declared, in Redis: one hash, beside their leases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bellwire.coordinator.cluster.election import LeaseTimes
from bellwire.coordinator.cluster.group_watch import Declared
from bellwire.coordinator.cluster.holder import Holder, lease_key
from bellwire.coordinator.cluster.lease_redis import LeaseRedis
from bellwire.coordinator.cluster.topic_groups import GROUPS_KEY

__all__ = ["RedisGroups"]

# KEYS[1] the declarations; ARGV: our group, what it declares, and then each group that was seen with what it declared.
# Gives 1 when it is declared, and 0 when somebody else has declared anything since.
_DECLARE: Final = """\
if redis.call('HLEN', KEYS[1]) ~= (#ARGV - 2) / 2 then
  return 0
end
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class RedisGroups:
    """Requests about all groups of one Redis, each bounded as those about a lease.

    Args:
        url: That of the lease.
        times: Of the lease.
    """

    def __init__(self, url: str, times: LeaseTimes) -> None:
        self._redis = LeaseRedis(url, times.request)

    async def read(self) -> Declared:
        """Return what is declared, and who holds the leases.

        Raises:
            LeaseUnavailableError, LeaseRefusedError: Redis did not answer.
            LeaseValueError: Something else stands in the place of a lease.
        """
        found: dict[bytes, bytes] = await self._redis.ask(lambda redis: redis.hgetall(GROUPS_KEY))
        records = {name.decode(errors="replace"): value for name, value in found.items()}
        if not records:
            return Declared({}, {})
        keys = [lease_key(name) for name in records]
        values = await self._redis.ask(lambda redis: redis.mget(keys))
        owners = {
            name: Holder.decode(key, value)
            for name, key, value in zip(records, keys, values, strict=True)
            if value is not None
        }
        return Declared(records, owners)

    async def declare(self, group: str, record: bytes, seen: Mapping[str, bytes]) -> bool:
        """Declare what a group has; False = something has been declared since this was seen.

        Raises:
            LeaseUnavailableError, LeaseRefusedError: Redis did not answer.
        """
        words: list[str | bytes] = [group, record]
        for item in seen.items():
            words += item
        done = await self._redis.ask(lambda redis: redis.eval(_DECLARE, 1, GROUPS_KEY, *words))
        return bool(done)

    async def close(self) -> None:
        """Close the connection; a later request opens another one."""
        await self._redis.close()
