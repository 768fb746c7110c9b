"""A topic on its way from one group's outbox to another's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bellwire.client._groups import Groups
from bellwire.client._outbox import Outbox
from bellwire.policy.backoff import Backoff
from bellwire.wire.errors import BellwireError, CallerError, NotOwnerError

__all__ = ["TopicMove"]

LOOK_SECONDS: Final = (
    0.02  # Between two looks for what refused batches and calls under way still bring.
)
PAUSE_SECONDS: Final = (0.05, 1.0)  # Before the new group is asked again, jittered.
ROUTE_SECONDS: Final = 5.0  # For the new group to tell of the topic, of one try.

_log = logging.getLogger("bellwire.client")


class TopicMove:
    """Takes what one outbox holds of a topic to the outbox of the group that owns it now, in order.

    It takes as long as it must: until that group has an active coordinator that takes the topic. The messages wait
    in the old outbox, whose buffer bounds them. The new one takes them in beyond its bound, once.
    A batch that the old group's coordinator may have appended, because its line was cut before the answer, is sent to
    the new one all the same: it may be there twice.

    Args:
        topic: Its name.
        source: The outbox it had.
        groups: The map.
        outbox: Gives the outbox of a group, once that has an active coordinator.
        on_end: Told the topic and the outbox it has now; None = its group refuses it, as it refuses whoever asks next.
    """

    def __init__(
        self,
        topic: str,
        source: Outbox,
        groups: Groups,
        outbox: Callable[[str, float | None], Awaitable[Outbox]],
        on_end: Callable[[str, Outbox | None], None],
    ) -> None:
        self._topic = topic
        self._source = source
        self._groups = groups
        self._outbox = outbox
        self._on_end = on_end
        self._task = asyncio.create_task(self._run(), name=f"bellwire move of {topic}")

    async def ended(self) -> None:
        """Wait for the end."""
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """Give up; what was not taken stays in the old outbox."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pauses = Backoff(*PAUSE_SECONDS)
        while True:
            try:
                target = await self._target()
                await self._take_over(target)
            except CallerError as error:
                await self._refuse(error)
                self._on_end(self._topic, None)
                return
            except BellwireError as error:
                _log.info("topic %r cannot move yet: %s", self._topic, error.message)
                if isinstance(error, NotOwnerError):
                    self._groups.reread_soon()
                await asyncio.sleep(pauses.next_delay())
                continue
            self._on_end(self._topic, target)
            return

    async def _target(self) -> Outbox:
        group = await self._groups.owner_of(self._topic, None)
        target = await self._outbox(group, None)
        await target.find(self._topic, ROUTE_SECONDS)
        return target

    async def _take_over(self, target: Outbox) -> None:
        source = self._source
        while target is not source and source.holds(self._topic):
            target.check_usable()  # What it cannot take must not leave the source.
            for partition, segment in source.give_away(self._topic):
                target.take_over(self._topic, partition, segment)
            if source.holds(self._topic):
                await asyncio.sleep(LOOK_SECONDS)

    async def _refuse(self, error: CallerError) -> None:
        """Tell who waits, those included whose messages the old group has not refused yet."""
        self._source.refuse(self._topic, error)
        while self._source.holds(self._topic):
            await asyncio.sleep(LOOK_SECONDS)
            self._source.refuse(self._topic, error)
