"""The directory in Redis: five scripts and a channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bellwire.coordinator.core.remotes import Place
from bellwire.coordinator.federation.directory import Found, Renewal
from bellwire.coordinator.federation.errors import DirectoryFullError, DirectoryUnavailableError
from bellwire.coordinator.federation.record import Keys, decode_place, encode_place
from bellwire.coordinator.federation.scripts import CLAIM, HOLD, KEEP, LOOK, RELEASE
from bellwire.wire.settings import without_password

if TYPE_CHECKING:
    from bellwire.coordinator.redis_client import RedisClient

__all__ = ["COORDINATORS_MAX", "RedisDirectory"]

COORDINATORS_MAX: Final = 64  # Active at once, each of a group of its own; policy REFUSE.
LEASES_AT_ONCE: Final = 500  # Of one script, which Redis does nothing beside: about a millisecond.
MILLIS: Final = 1_000


class RedisDirectory:
    """Requests about a directory, one after the other, each bounded by a sixth of the time to live.

    Args:
        url: "redis://[user:password@]host:port[/database]", or "rediss://…" or "unix://…".
        name: Of the directory.
        me: Who writes.
        ttl_seconds: Time to live of leases and records.
    """

    def __init__(self, url: str, name: str, me: Place, ttl_seconds: float) -> None:
        self.where = without_password(url)
        self.keys = Keys(name)
        self._url = url
        self._me = me
        self._value = encode_place(me)
        self._ttl_millis = round(ttl_seconds * MILLIS)
        self._request_seconds = ttl_seconds / 6
        self._redis: Redis | None = None

    async def claim(self, agent_id: str) -> Place | None:
        """Take the lease of an agent's id; None = it is ours, else who has it.

        Raises:
            DirectoryUnavailableError: Redis did not answer.
            RecordError: Something else stands there.
        """
        key = self.keys.agent(agent_id)
        stands = await self._script(CLAIM, [key], self._value, self._ttl_millis, self._me.group)
        return None if stands == self._value else decode_place(stands)

    async def hold(self, agent_ids: Sequence[str]) -> list[tuple[str, Place]]:
        """Renew the leases of agents' ids; return those that others have.

        Raises:
            DirectoryUnavailableError: Redis did not answer.
            RecordError: Something else stands at one of them.
        """
        lost = []
        for first in range(0, len(agent_ids), LEASES_AT_ONCE):
            part = agent_ids[first : first + LEASES_AT_ONCE]
            keys = [self.keys.agent(agent_id) for agent_id in part]
            stand = await self._script(HOLD, keys, self._value, self._ttl_millis)
            lost += [
                (agent_id, decode_place(value))
                for agent_id, value in zip(part, stand, strict=True)
                if value != self._value
            ]
        return lost

    async def release(self, agent_ids: Sequence[str]) -> None:
        """Give leases back that are ours.

        Raises:
            DirectoryUnavailableError: Redis did not answer; they end by themselves.
        """
        for first in range(0, len(agent_ids), LEASES_AT_ONCE):
            part = agent_ids[first : first + LEASES_AT_ONCE]
            await self._script(RELEASE, [self.keys.agent(id_) for id_ in part], self._value)

    async def keep(self, renewal: Renewal) -> bool:
        """Write our record; False = Redis has lost the roster, and nothing was written.

        Raises:
            DirectoryUnavailableError: Redis did not answer.
            DirectoryFullError: There are too many coordinators.
        """
        said = await self._script(
            KEEP,
            [self.keys.record(self._me.id), self.keys.coordinators],
            self._me.id,
            self._ttl_millis,
            renewal.head,
            renewal.roster,
            COORDINATORS_MAX,
            self.keys.record_prefix,
            self.keys.news if renewal.announce else "",
        )
        if said == b"FULL":
            raise DirectoryFullError(
                f"directory {self.keys.directory!r} has {COORDINATORS_MAX} active coordinators, that is the limit: "
                "give this one another `coordinator.agent_directory`",
                metadata={"directory": self.keys.directory, "limit": str(COORDINATORS_MAX)},
            )
        return bool(said == b"KEPT")

    async def look(self) -> list[Found]:
        """Return all records, ours among them.

        Raises:
            DirectoryUnavailableError: Redis did not answer.
        """
        found = await self._script(LOOK, [self.keys.coordinators], self.keys.record_prefix)
        return [
            Found(id_.decode(errors="replace"), max(0, int(left)) / MILLIS, head)
            for id_, left, head in found
        ]

    async def rosters(self, ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """Return the rosters of coordinators; empty = it is not there.

        Raises:
            DirectoryUnavailableError: Redis did not answer.
        """
        return [
            (id_, await self._asked("HGET", self.keys.record(id_), "roster") or b"") for id_ in ids
        ]

    async def leave(self, agent_ids: Sequence[str]) -> None:
        """Take our record and our leases back, and tell the others.

        Raises:
            DirectoryUnavailableError: Redis did not answer; they end by themselves.
        """
        await self.release(agent_ids)
        await self._asked("DEL", self.keys.record(self._me.id))
        await self._asked("PUBLISH", self.keys.news, self._me.id)

    async def listen(self, on_news: Callable[[str], None]) -> None:
        """Call back with the id of each coordinator that tells of a change, and with "" at first, until it fails.

        Raises:
            DirectoryUnavailableError: Redis cannot be reached, or not any more.
        """
        redis = self._open(socket_timeout=None)
        try:
            async with redis.pubsub() as channel:
                async with asyncio.timeout(self._request_seconds):
                    await channel.subscribe(self.keys.news)
                on_news("")  # What was told before we listened was not heard.
                while True:
                    told = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                    if told is not None:
                        on_news(bytes(told["data"]).decode(errors="replace"))
        except (RedisError, OSError, TimeoutError) as error:
            raise self._away(error) from None
        finally:
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()

    async def close(self) -> None:
        """Close the connection; a later request opens another one."""
        redis, self._redis = self._redis, None
        if redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()

    async def _script(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        return await self._asked("EVAL", script, len(keys), *keys, *arguments)

    async def _asked(self, *words: Any) -> Any:
        if self._redis is None:
            self._redis = self._open(socket_timeout=self._request_seconds)
        try:
            async with asyncio.timeout(self._request_seconds):
                return await cast("RedisClient", self._redis).execute_command(*words)
        except (RedisError, OSError, TimeoutError) as error:
            # What it still answers would be taken for the answer to the next request.
            await self.close()
            raise self._away(error) from None
        except asyncio.CancelledError:
            await self.close()
            raise

    def _away(self, error: Exception) -> DirectoryUnavailableError:
        why = str(error) or type(error).__name__
        return DirectoryUnavailableError(
            f"Redis at {self.where}, which keeps the directory of agents, is away: {why}",
            metadata={"redis": self.where},
        )

    def _open(self, socket_timeout: float | None) -> Redis:
        return Redis.from_url(
            self._url,
            socket_timeout=socket_timeout,
            socket_connect_timeout=self._request_seconds,
            retry=Retry(NoBackoff(), 0),  # Whoever asks decides when to ask again.
            single_connection_client=True,
            protocol=2,  # With 3 a connection that is dead may be taken for a live one.
        )
