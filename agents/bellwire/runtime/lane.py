"""One partition inside an agent: messages in order, outputs first, then the settlement."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from bellwire.client.protocol import BusSubscription
from bellwire.client.received import ReceivedMessage
from bellwire.policy.backoff import Backoff
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.errors import OutputBlockedError, OutputLostError, UndecodableError
from bellwire.runtime.outbox import PublishFuture, classified
from bellwire.runtime.progress import Admission, Progress, Verdict
from bellwire.runtime.settings import RunSettings
from bellwire.wire.errors import BellwireError

logger = logging.getLogger(__name__)

Work: TypeAlias = Callable[[ReceivedMessage], Awaitable[list[PublishFuture]]]
"""Handles one message; returns the acknowledgements its settlement waits for."""


@dataclass(frozen=True, slots=True)
class _Handled:
    """A message that is handled and waits for the acknowledgement of its outputs."""

    received: ReceivedMessage
    outputs: list[PublishFuture]


class Lane:
    """Handles the messages of one partition one at a time; settles each after its outputs.

    The next message is handled while the outputs of the one before are under way. Both queues are
    bounded by the subscription's window, which the coordinator keeps as a hard limit.
    """

    def __init__(
        self,
        work: Work,
        subscription: BusSubscription,
        settings: RunSettings,
        counters: RunCounters,
    ) -> None:
        self._work = work
        self._subscription = subscription
        self._settings = settings
        self._counters = counters
        self._progress = Progress(
            attempts_max=settings.attempts_max,
            rewind_wait_seconds=settings.rewind_wait_seconds,
        )
        self._backoff = Backoff(
            settings.retry_delay_first_seconds, settings.retry_delay_max_seconds
        )
        self._queue: deque[ReceivedMessage] = deque()
        self._handled: deque[_Handled] = deque()
        self._arrived = asyncio.Event()
        self._to_settle = asyncio.Event()
        self._stopping = False
        self._rewinds = 0

    @property
    def depth(self) -> int:
        """Messages that wait to be handled."""
        return len(self._queue)

    def offer(self, messages: Iterable[ReceivedMessage]) -> None:
        """Queue messages in the order delivered."""
        self._queue.extend(messages)
        self._arrived.set()

    def stop(self) -> None:
        """Finish the message in hand and settle; what is only queued stays unsettled."""
        self._stopping = True
        self._arrived.set()
        self._to_settle.set()

    async def run(self) -> None:
        """Handle messages until `stop`.

        Raises:
            OutputLostError: The bus took no outputs for too long.
            Exception: Whatever a handler raised, with `crash_on_error`.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle())
            try:
                await self._handle()
            finally:
                self.stop()

    async def _handle(self) -> None:
        while True:
            while not self._queue and not self._stopping:
                self._arrived.clear()
                await self._arrived.wait()
            if self._stopping:
                return
            await self._take(self._queue.popleft())

    async def _take(self, received: ReceivedMessage) -> None:
        now = asyncio.get_running_loop().time()
        admission = self._progress.admit(received.offset, received.attempt, now)
        if admission is Admission.RELEASE:
            await self._release([received])
            return
        if admission is Admission.DUPLICATE:
            self._counters.duplicates += 1
            await self._finish(received, [])
            return
        rewinds = self._rewinds
        try:
            outputs = await self._work(received)
        except OutputLostError:
            raise
        except Exception as error:
            # The boundary of code we did not write: its failure costs the message.
            if self._settings.crash_on_error:
                raise
            await self._fail(received, error, rewound=rewinds != self._rewinds)
            return
        if rewinds != self._rewinds:
            await self._release([received])
            return
        self._progress.handled(received.offset)
        self._counters.handled += 1
        await self._finish(received, outputs)

    async def _finish(self, received: ReceivedMessage, outputs: list[PublishFuture]) -> None:
        if not outputs and not self._handled:
            await self._accept(received)
            return
        self._handled.append(_Handled(received, outputs))
        self._to_settle.set()

    async def _settle(self) -> None:
        while True:
            while not self._handled and not self._stopping:
                self._to_settle.clear()
                await self._to_settle.wait()
            if not self._handled:
                return
            first = self._handled[0]
            if first.outputs:
                await asyncio.wait(first.outputs)
            if not self._handled or self._handled[0] is not first:
                continue  # rewound meanwhile
            self._handled.popleft()
            error = _refusal(first.outputs)
            if error is None:
                await self._accept(first.received)
            elif isinstance(error, OutputLostError) or self._settings.crash_on_error:
                raise error
            else:
                await self._fail(first.received, error, rewound=False)

    async def _accept(self, received: ReceivedMessage) -> None:
        await self._subscription.accept(received)
        self._progress.settled(received.offset)
        if self._backoff.tries:
            self._backoff.reset()

    async def _fail(self, received: ReceivedMessage, error: Exception, *, rewound: bool) -> None:
        """Decide about a message whose handler raised or whose output was refused."""
        if rewound:
            await self._release([received])
            return
        now = asyncio.get_running_loop().time()
        if isinstance(error, OutputBlockedError):
            self._progress.postpone(received.offset, now)
            await self._rewind(received)
            return
        self._counters.errors += 1
        verdict = self._progress.failed(
            received.offset, now, hopeless=isinstance(error, UndecodableError)
        )
        if verdict is Verdict.POISON:
            await self._give_up(received, error)
            return
        logger.warning(
            "message %s at %s/%d@%d failed (%d of %d): %r; it is released",
            received.id,
            received.topic,
            received.partition,
            received.offset,
            self._progress.failures(received.offset),
            self._settings.attempts_max,
            error,
            exc_info=error,
        )
        await self._rewind(received)

    async def _give_up(self, received: ReceivedMessage, error: Exception) -> None:
        logger.error(
            "message %s at %s/%d@%d is poison and is skipped: %r",
            received.id,
            received.topic,
            received.partition,
            received.offset,
            error,
            exc_info=error,
        )
        self._counters.poison += 1
        await self._subscription.accept(received)

    async def _rewind(self, received: ReceivedMessage) -> None:
        """Release a message and everything behind it, so that it comes back in order."""
        self._rewinds += 1
        behind = [h.received for h in self._handled if h.received.offset > received.offset]
        kept = [h for h in self._handled if h.received.offset < received.offset]
        self._handled = deque(kept)
        queued = list(self._queue)
        self._queue.clear()
        await self._release([received, *behind, *queued])

    async def _release(self, messages: list[ReceivedMessage]) -> None:
        """Give messages back, all with the same delay: they must come back in order."""
        delay = self._backoff.next_delay()
        for received in messages:
            self._counters.released += 1
            await self._subscription.release(received, delay_seconds=delay)


def _refusal(outputs: list[PublishFuture]) -> Exception | None:
    """Return why the first refused output was refused; None when all are acknowledged."""
    for future in outputs:
        if future.cancelled():
            return OutputLostError()
        error = future.exception()
        if isinstance(error, BellwireError):
            return classified(error)
        if isinstance(error, Exception):
            return error
    return None
