"""Looks each second whether Kafka answers: whoever waits for a transaction should hear what it waits for."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aiokafka.errors import KafkaError

from bellwire.coordinator.log.kafka.session import KafkaSession
from bellwire.coordinator.log.kafka.settings import KafkaSettings
from bellwire.coordinator.log.store import Outage
from bellwire.wire.errors import BellwireError

__all__ = ["Watch"]

PROBE_SECONDS: Final = (
    1.0  # One small request on a connection that is open; as the lease is renewed.
)
ANSWER_SECONDS: Final = (
    2.0  # A broker that is there answers in milliseconds, one in trouble in one second.
)
CLOSE_SECONDS: Final = 5.0  # As for every client of Kafka; the loop's end cancels it again.
NANOS_PER_SECOND: Final = 1_000_000_000
_log = logging.getLogger("bellwire.coordinator")


class Watch:
    """Says once that Kafka does not answer, and once that it does again.

    Attributes:
        outage: Since when it does not answer, and what that looks like; None = it does. Read on any thread.
    """

    def __init__(self, settings: KafkaSettings, session: KafkaSession) -> None:
        self._settings = settings
        self._session = session
        self._task: asyncio.Task[None] | None = None
        self._stumbled = ""
        self.outage: Outage | None = None

    def start(self) -> None:
        """Begin to look, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="watch Kafka")

    async def close(self) -> None:
        """Look no more; wait `CLOSE_SECONDS` at most for the question that is under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_SECONDS)

    async def _run(self) -> None:
        # Until told, not until cancelled: `asyncio.wait_for` of Python 3.11, which the client of Kafka uses, forgets
        # a cancellation that comes with its result.
        while self._task is not None:
            await asyncio.sleep(PROBE_SECONDS)
            asked_ns = time.time_ns()
            try:
                self._note(await self._trouble(), asked_ns)
            except Exception as error:  # noqa: BLE001 - it is said, and the watch goes on
                self._stumble(error)
            else:
                self._stumbled = ""

    def _stumble(self, error: Exception) -> None:
        """Say once what nobody has foreseen: it says nothing of Kafka, and the next question may go well."""
        said, self._stumbled = self._stumbled, repr(error)
        if said != self._stumbled:
            _log.error("cannot tell whether Kafka answers, asking again: %r", error, exc_info=error)

    def _note(self, trouble: str, asked_ns: int) -> None:
        """Take what was found by a question asked at a time, nanoseconds since the Unix epoch; empty = an answer."""
        before = self.outage
        if not trouble:
            self.outage = None
            if before is not None:
                away = (time.time_ns() - before.since_ns) / NANOS_PER_SECOND
                _log.warning("Kafka at %s answers again after %.1f s", self._where, away)
            return
        since_ns = before.since_ns if before is not None else asked_ns
        self.outage = Outage(since_ns, trouble)
        if before is None:
            _log.warning(
                "%s; nothing durable is acknowledged until it does, and nothing is lost", trouble
            )

    async def _trouble(self) -> str:
        """Return what is wrong; empty = it answers."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if await self._session.answers():
                    return ""
                await self._session.check()
        except BellwireError as refusal:
            return refusal.message
        except TimeoutError:
            return f"{self._silent}: nothing came for {ANSWER_SECONDS:g} s"
        except (KafkaError, OSError) as error:
            return f"{self._silent}: {' '.join(str(error).split()) or type(error).__name__}"
        return f"{self._silent}: none of its brokers can be reached"

    @property
    def _silent(self) -> str:
        return f"Kafka at {self._where} does not answer"

    @property
    def _where(self) -> str:
        return self._settings.bootstrap
