"""One partition inside an agent: messages in order, outputs first, then the settlement."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bellwire.client.protocol import BusSubscription
from bellwire.client.received import ReceivedMessage
from bellwire.policy.backoff import Backoff
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.errors import OutputBlockedError, OutputLostError, UndecodableError
from bellwire.runtime.outbox import Sent, classified
from bellwire.runtime.patience import patience
from bellwire.runtime.progress import Admission, Progress, Verdict
from bellwire.runtime.settings import RunSettings
from bellwire.wire.errors import BellwireError

logger = logging.getLogger(__name__)


class Work(Protocol):
    """What a lane does with its messages."""

    async def assigned(self, received: ReceivedMessage, after: str) -> None:
        """Prepare for a partition, of which this is the first message, or the first behind a gap.

        `after` is the id of the message handled last; empty = none was.
        """

    async def __call__(self, received: ReceivedMessage) -> Sent:
        """Handle one message and return the outputs its settlement waits for."""

    def rewound(self) -> None:
        """Note that messages were given back."""


@dataclass(frozen=True, slots=True)
class _Handled:
    """A message that is handled and waits for the acknowledgement of its outputs."""

    received: ReceivedMessage
    sent: Sent | None


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
        self._is_assigned = False
        self._last_id = ""
        self._stopping = False
        self._no_more_to_settle = False
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

    async def run(self) -> None:
        """Handle messages until `stop`.

        Raises:
            OutputLostError: The bus took no outputs for too long.
            Exception: Whatever a handler raised, with `crash_on_error`.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle())
            await self._handle()
            self._no_more_to_settle = True
            self._to_settle.set()

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
        elif admission is Admission.DUPLICATE:
            self._counters.duplicates += 1
            await self._finish(_Handled(received, None))
        elif self._is_next(received) or await self._assign(received):
            await self._run_handlers(received)

    def _is_next(self, received: ReceivedMessage) -> bool:
        """Tell whether the agent knows all that came before; behind a gap another replica may have been at work."""
        return self._is_assigned and received.offset <= self._progress.handled_through + 1

    async def _assign(self, received: ReceivedMessage) -> bool:
        """Have the agent prepare for the partition; False = it could not, and the message comes again.

        That is no fault of the message, which is never poison for it: the partition waits instead.
        """
        rewinds = self._rewinds
        try:
            async with patience(self._settings.assign_timeout_seconds):
                await self._work.assigned(received, self._last_id)
        except Exception as error:
            # The boundary of code we did not write, as in `_run_handlers`.
            if self._settings.crash_on_error:
                raise
            self._counters.errors += 1
            _log_failure(logging.WARNING, "waits: on_assigned failed", received, error)
            await self._rewind(received)
            return False
        self._is_assigned = True
        if rewinds == self._rewinds:
            return True
        await self._release([received])  # Something before it was given back meanwhile.
        return False

    async def _run_handlers(self, received: ReceivedMessage) -> None:
        rewinds = self._rewinds
        try:
            sent = await self._work(received)
        except OutputLostError:
            raise
        except Exception as error:
            # The boundary of code we did not write: its failure costs the message.
            if rewinds != self._rewinds:
                await self._release([received])
            elif self._settings.crash_on_error and not isinstance(error, OutputBlockedError):
                raise
            else:
                await self._fail(received, error)
            return
        if rewinds != self._rewinds:
            sent.resolve()
            await self._release([received])
            return
        self._progress.handled(received.offset)
        self._last_id = received.id
        self._counters.handled += 1
        await self._finish(_Handled(received, sent if sent.futures else None))

    async def _finish(self, handled: _Handled) -> None:
        """Accept at once what waits for nothing; the rest in order, after its outputs."""
        if handled.sent is None and not self._handled:
            await self._accept(handled.received)
            return
        self._handled.append(handled)
        self._to_settle.set()

    async def _settle(self) -> None:
        while True:
            while not self._handled and not self._no_more_to_settle:
                self._to_settle.clear()
                await self._to_settle.wait()
            if not self._handled:
                return
            first = self._handled[0]
            if first.sent is not None:
                futures = first.sent.futures
                await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
            if not self._handled or self._handled[0] is not first:
                continue  # rewound meanwhile
            self._handled.popleft()
            await self._decide(first)

    async def _decide(self, handled: _Handled) -> None:
        """Settle a message whose outputs are all acknowledged, or one of them refused."""
        error = _refusal(handled.sent)
        if error is None:
            await self._accept(handled.received)
        elif isinstance(error, OutputLostError) or self._settings.crash_on_error:
            raise error
        else:
            await self._fail(handled.received, error)
        if handled.sent is not None:
            handled.sent.resolve()

    async def _accept(self, received: ReceivedMessage) -> None:
        await self._subscription.accept(received)
        self._progress.settled(received.offset)
        if self._backoff.tries:
            self._backoff.reset()

    async def _fail(self, received: ReceivedMessage, error: Exception) -> None:
        """Decide about a message whose handler raised or whose output was refused."""
        if isinstance(error, OutputBlockedError):
            await self._rewind(received)  # It is not this message's fault.
            return
        self._counters.errors += 1
        hopeless = isinstance(error, UndecodableError)
        if self._progress.failed(received.offset, hopeless=hopeless) is Verdict.POISON:
            self._counters.poison += 1
            _log_failure(logging.ERROR, "is poison and is skipped", received, error)
            await self._subscription.accept(received)
            return
        failures = self._progress.failures(received.offset)
        outcome = f"failed ({failures} of {self._settings.attempts_max}) and is released"
        _log_failure(logging.WARNING, outcome, received, error)
        await self._rewind(received)

    async def _rewind(self, received: ReceivedMessage) -> None:
        """Release a message and everything behind it, so that it comes back in order."""
        self._rewinds += 1
        self._work.rewound()
        behind = [h for h in self._handled if h.received.offset > received.offset]
        self._handled = deque(h for h in self._handled if h.received.offset < received.offset)
        for handled in behind:
            if handled.sent is not None:
                handled.sent.resolve()
        queued = list(self._queue)
        self._queue.clear()
        await self._release([received, *(h.received for h in behind), *queued])

    async def _release(self, messages: list[ReceivedMessage]) -> None:
        """Give messages back, all with the same delay: they must come back in order."""
        now = asyncio.get_running_loop().time()
        delay = self._backoff.next_delay()
        for received in messages:
            self._progress.released(received.offset, now + delay)
            self._counters.released += 1
            await self._subscription.release(received, delay_seconds=delay)


def _refusal(sent: Sent | None) -> Exception | None:
    """Return why the first refused output was refused; None when all are acknowledged."""
    for future in sent.futures if sent is not None else ():
        if not future.done():
            continue
        if future.cancelled():
            return OutputLostError()
        error = future.exception()
        if isinstance(error, BellwireError):
            return classified(error)
        if isinstance(error, Exception):
            return error
    return None


def _log_failure(level: int, outcome: str, received: ReceivedMessage, error: Exception) -> None:
    logger.log(
        level,
        "message %s at %s/%d@%d %s: %r",
        received.id,
        received.topic,
        received.partition,
        received.offset,
        outcome,
        error,
        exc_info=error,
    )
