"""Hears over Redis which capabilities other coordinators have outdated, so that memory drops their answers at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from bellwire.coordinator.cache.settings import CacheSettings
from bellwire.coordinator.redis_client import open_listener
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import RedisUnavailableError
from bellwire.wire.settings import without_password

PING_SECONDS: Final = 1.0  # Of silence, then Redis is asked whether it is there.
CONNECT_SECONDS: Final = 2.0
AGAIN_SECONDS_MIN: Final = 0.05
AGAIN_SECONDS_MAX: Final = 2.0  # How late we may notice that Redis is back.
SPACE_BYTES_MAX: Final = 249
_log = logging.getLogger("bellwire.coordinator")


def channel_of(prefix: str) -> str:
    """Return the channel on which coordinators of one bus tell what they outdated."""
    return f"{prefix}:outdated"


def told(node: str, space: str) -> str:
    """Return what a coordinator tells: who it is, and what it has outdated."""
    return f"{node} {space}"


class OutdatingFeed:
    """A subscription that is made again for as long as it takes; whoever holds it hears of every gap.

    A message is told at most once, so that what was told during a gap is unknown: `on_gap` is called each time the
    subscription begins, the first included. Silence of two `PING_SECONDS` is a gap.

    Attributes:
        hears: Whether the subscription stands.
        heard: Messages of other coordinators.
        gaps: Times the subscription began anew.
        garbage: Messages that nobody here writes.
    """

    def __init__(
        self,
        settings: CacheSettings,
        node: str,
        *,
        on_space: Callable[[str], None],
        on_gap: Callable[[], None],
    ) -> None:
        """Prepare it; `start` begins.

        Args:
            settings: Where Redis is.
            node: Our own name, whose messages are not news.
            on_space: Called with what another coordinator has outdated.
            on_gap: Called when messages may have been missed, and none will be from now on.
        """
        self._url = settings.redis
        self._channel = channel_of(settings.redis_prefix)
        self._node = node
        self._on_space = on_space
        self._on_gap = on_gap
        self._task: asyncio.Task[None] | None = None
        self._told_deaf = False
        self.hears = False
        self.heard = 0
        self.gaps = 0
        self.garbage = 0

    def start(self) -> None:
        """Begin to listen."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="cache hearing")

    async def close(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _listen(self) -> None:
        backoff = Backoff(AGAIN_SECONDS_MIN, AGAIN_SECONDS_MAX)
        while True:
            try:
                await self._hear(backoff)
            except Exception as error:  # noqa: BLE001 - a cache must not fail, whatever its client raises.
                if self.hears or not self._told_deaf:
                    self._told_deaf = True
                    _log.warning(
                        "Redis at %s does not tell what other coordinators outdate (%r): their messages outdate "
                        "nothing here until it does",
                        without_password(self._url),
                        error,
                    )
            self.hears = False
            await asyncio.sleep(backoff.next_delay(AGAIN_SECONDS_MIN))

    async def _hear(self, backoff: Backoff) -> None:
        client = open_listener(self._url, timeout_seconds=CONNECT_SECONDS)
        feed = client.pubsub()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await feed.subscribe(self._channel)
            asked = False
            while True:
                message = await feed.get_message(timeout=PING_SECONDS)
                if message is None:
                    if asked:
                        raise RedisUnavailableError(f"it was silent for {2 * PING_SECONDS:g} s")
                    asked = True
                    await feed.ping()
                    continue
                asked = False
                if message["type"] == "subscribe":
                    self._begins(backoff)
                elif message["type"] == "message":
                    self._take(message["data"])
        finally:
            with suppress(Exception):
                await feed.aclose()
            with suppress(Exception):
                await client.aclose()

    def _begins(self, backoff: Backoff) -> None:
        # redis-py may make a connection anew by itself; this message comes then, too.
        backoff.reset()
        self.gaps += 1
        self.hears = True
        if self._told_deaf:
            self._told_deaf = False
            _log.warning("Redis at %s tells again", without_password(self._url))
        self._on_gap()

    def _take(self, data: Any) -> None:
        try:
            node, _, space = bytes(data).decode().partition(" ")
        except (TypeError, UnicodeDecodeError):
            node, space = "", ""
        if not space or len(space) > SPACE_BYTES_MAX:
            self.garbage += 1
        elif node != self._node:
            self.heard += 1
            self._on_space(space)
