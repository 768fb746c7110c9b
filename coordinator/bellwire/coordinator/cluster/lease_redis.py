"""The Redis that keeps leases, and what belongs to them: short requests, none of them tried twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

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

from bellwire.coordinator.cluster.errors import LeaseRefusedError, LeaseUnavailableError
from bellwire.coordinator.redis_client import check_noeviction
from bellwire.wire.errors import RedisEvictsError, RedisRefusedError, RedisUnavailableError
from bellwire.wire.settings import without_password

__all__ = ["LeaseRedis"]


class LeaseRedis:
    """One connection, opened when it is first needed.

    Args:
        url: "redis://[user:password@]host:port[/database]", or "rediss://…" or "unix://…".
        request_seconds: Bound of each request, connecting included.

    Attributes:
        where: Its address, for people.
    """

    def __init__(self, url: str, request_seconds: float) -> None:
        self.where = without_password(url)
        self._url = url
        self._request_seconds = request_seconds
        self._redis: Redis | None = None
        self._checked = False
        # A request that waits for the connection of a failed one would open it again after it was closed.
        self._line = asyncio.Lock()

    async def ask(self, request: Callable[[Redis], Any]) -> Any:
        """Make one request and return the reply.

        Raises:
            LeaseUnavailableError: Redis did not answer, or cannot now.
            LeaseRefusedError: It refuses us, or could evict what it is to keep.
        """
        async with self._line:
            if not self._checked:
                await self._check()
            return await self._bounded(request(self._client()))

    async def close(self) -> None:
        """Close the connection once it is not in use; a later request opens another one."""
        async with self._line:
            await self._close()

    async def _close(self) -> None:
        redis = self._redis
        self._checked = False
        if redis is not None:
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()
            self._redis = None  # Not before: who is cancelled meanwhile closes it again.

    async def _check(self) -> None:
        """See that Redis evicts nothing: a lease that is evicted would be held by two."""
        try:
            await check_noeviction(self._client(), self._url, self._request_seconds)
        except RedisUnavailableError as error:
            await self._close()
            raise LeaseUnavailableError(error.message, metadata={"redis": self.where}) from None
        except (RedisEvictsError, RedisRefusedError) as error:
            await self._close()
            raise LeaseRefusedError(error.message, metadata=error.metadata) from None
        self._checked = True

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
            self._close()
        )  # What it still answers would be taken for the answer to the next request.
        raise LeaseUnavailableError(
            f"Redis at {self.where} is away: {why}", metadata={"redis": self.where}
        )

    async def _refused(self, error: Exception) -> LeaseRefusedError:
        await self._close()
        return LeaseRefusedError(
            f"Redis at {self.where} refuses us: {error}; look at user and password in `coordinator.redis`",
            metadata={"redis": self.where},
        )

    def _client(self) -> Redis:
        if self._redis is None:
            try:
                self._redis = Redis.from_url(
                    self._url,
                    socket_timeout=self._request_seconds,
                    socket_connect_timeout=self._request_seconds,
                    retry=Retry(NoBackoff(), 0),  # Whoever asks decides when to ask again.
                    single_connection_client=True,
                    protocol=2,  # With 3 a connection that is dead may be taken for a live one.
                )
            except ValueError:  # Its words may hold a part of the password.
                raise LeaseRefusedError(
                    f"{self.where} in `coordinator.redis` is no URL of a Redis: write '/', '?' and '#' of a "
                    "password as %2F, %3F and %23",
                    metadata={"redis": self.where},
                ) from None
        return self._redis
