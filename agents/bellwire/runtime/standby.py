"""A spare process that has loaded its program and waits to take a crashed one's place."""

import asyncio
import logging
from enum import Enum, auto

from bellwire.runtime.process_log import ProcessLog
from bellwire.runtime.ready import WARM_FD_VARIABLE, ReadyPipe
from bellwire.runtime.spawned import Spawned, described, spawn
from bellwire.runtime.spec import ProcessSpec, encode_spare, encode_turn

logger = logging.getLogger(__name__)


class StandbyState(Enum):
    """Where the spare stands."""

    NONE = auto()
    """No spare is there: not asked for, taken, or it ended by itself."""
    WARMING = auto()
    """Spawned; it loads."""
    WARM = auto()
    """It has loaded and waits."""


class Standby:
    """Holds at most one spare.

    The spare is given the first line of its input, loads, and says WARM; the second line is its turn.
    One that ends before its turn is not replaced until `prepare`: a fault in loading it would return.
    """

    def __init__(self, spec: ProcessSpec, log: ProcessLog, warm_timeout_seconds: float) -> None:
        """Hold none yet.

        Args:
            spec: What to start; none is ever held when its `standby` is 0.
            log: Takes the output of the spare.
            warm_timeout_seconds: A spare that takes longer is killed.
        """
        self.state = StandbyState.NONE
        self._spec = spec
        self._log = log
        self._timeout_seconds = warm_timeout_seconds
        self._spare: Spawned | None = None
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the spare while one is there."""
        return None if self._spare is None else self._spare.pid

    async def prepare(self) -> None:
        """Spawn a spare unless one is there; returns before it is warm."""
        if not self._spec.standby or self._spare is not None:
            return
        try:
            ready, warm = _pipes()
            spare = await spawn(self._spec, self._log, ready, warm)
        except OSError as error:
            logger.warning("process %s gets no spare: %s", self._spec.name, error)
            return
        spare.give(encode_spare(self._spec), is_last=False)
        self._spare = spare
        self._enter(StandbyState.WARMING)
        self._watching = asyncio.create_task(
            self._watch(spare, warm), name=f"watch the spare of {self._spec.name}"
        )

    async def take(self, restarts: int) -> Spawned | None:
        """Give the spare its turn and hand it over, warm or not; None when there is none.

        Args:
            restarts: What the process is told of its past.
        """
        spare = await self._release()
        if spare is None:
            return None
        if spare.returncode is not None:  # It ended this very moment.
            spare.close()
            return None
        spare.give(encode_turn(restarts), is_last=True)
        return spare

    async def wait_for(self, state: StandbyState) -> None:
        """Wait until the spare is in a state; nothing bounds the wait."""
        while self.state is not state:
            await self._changed.wait()

    async def close(self) -> None:
        """Kill the spare: it has done nothing yet that could be lost."""
        spare = await self._release()
        if spare is not None:
            spare.kill()
            await spare.wait()
            spare.close()

    async def _release(self) -> Spawned | None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        spare, self._spare = self._spare, None
        self._enter(StandbyState.NONE)
        return spare

    async def _watch(self, spare: Spawned, warm: ReadyPipe) -> None:
        """Follow the spare until it is taken or ends."""
        said = asyncio.create_task(warm.wait())
        ended = asyncio.create_task(spare.wait())
        try:
            await asyncio.wait(
                {said, ended},
                timeout=self._timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if said.done():
                self._enter(StandbyState.WARM)
            elif not ended.done():
                spare.kill()
            returncode = await ended
        finally:
            for task in (said, ended):
                task.cancel()
            await asyncio.gather(said, ended, return_exceptions=True)
        words = spare.last_words()
        reason = f": {words}" if words else ""
        logger.warning(
            "the spare of process %s %s%s", self._spec.name, described(returncode), reason
        )
        spare.close()
        self._spare = None
        self._enter(StandbyState.NONE)

    def _enter(self, state: StandbyState) -> None:
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _pipes() -> tuple[ReadyPipe, ReadyPipe]:
    """Open what a spare says READY and WARM on: both, or none and OSError."""
    ready = ReadyPipe()
    try:
        return ready, ReadyPipe(WARM_FD_VARIABLE)
    except OSError:
        ready.close()
        raise
