"""The life of a supervised process: states, transitions, restart budget; sans I/O."""

from collections import deque
from enum import Enum, auto
from typing import Final

from bellwire.policy.backoff import Backoff
from bellwire.runtime.errors import IllegalTransitionError


class ProcessState(Enum):
    """Where a supervised process stands."""

    NEW = auto()
    """Not started yet."""
    STARTING = auto()
    """Spawned, has not said READY."""
    READY = auto()
    """Said READY and runs."""
    BACKOFF = auto()
    """Ended by itself; started again after a delay."""
    STOPPING = auto()
    """Told to stop, still there."""
    STOPPED = auto()
    """Gone, as asked or with exit code 0."""
    FAILED = auto()
    """Gone and given up; `reason` tells why."""


_ALLOWED: Final[dict[ProcessState, frozenset[ProcessState]]] = {
    ProcessState.NEW: frozenset({ProcessState.STARTING, ProcessState.STOPPED}),
    ProcessState.STARTING: frozenset(
        {
            ProcessState.READY,
            ProcessState.BACKOFF,
            ProcessState.STOPPING,
            ProcessState.FAILED,
        }
    ),
    ProcessState.READY: frozenset(
        {
            ProcessState.BACKOFF,
            ProcessState.STOPPING,
            ProcessState.STOPPED,
            ProcessState.FAILED,
        }
    ),
    ProcessState.BACKOFF: frozenset(
        {ProcessState.STARTING, ProcessState.STOPPED, ProcessState.FAILED}
    ),
    ProcessState.STOPPING: frozenset({ProcessState.STOPPED}),
    ProcessState.STOPPED: frozenset(),
    ProcessState.FAILED: frozenset(),
}


class RestartBudget:
    """Allows so many restarts within a sliding window of time."""

    __slots__ = ("_restarts_max", "_taken", "_window_seconds")

    def __init__(self, restarts_max: int, window_seconds: float) -> None:
        self._restarts_max = restarts_max
        self._window_seconds = window_seconds
        self._taken: deque[float] = deque()

    def is_whole(self, now: float) -> bool:
        """Tell whether no restart lies within the window. `now` is monotonic seconds."""
        while self._taken and now - self._taken[0] >= self._window_seconds:
            self._taken.popleft()
        return not self._taken

    def take(self, now: float) -> bool:
        """Take one restart; False when the window holds no more. `now` is monotonic seconds."""
        if not self.is_whole(now) and len(self._taken) >= self._restarts_max:
            return False
        self._taken.append(now)
        return len(self._taken) <= self._restarts_max

    def describe(self) -> str:
        """Say the budget for people: "5 restarts in 60 s"."""
        return f"{self._restarts_max} restarts in {self._window_seconds:g} s"


class Lifecycle:
    """Decides what follows when a process gets ready, ends or is told to stop."""

    def __init__(self, budget: RestartBudget, backoff: Backoff) -> None:
        self._budget = budget
        self._backoff = backoff
        self.state = ProcessState.NEW
        self.restarts = 0
        """Times it was started again."""
        self.reason = ""
        """Why it is FAILED, or why it was started again last."""

    @property
    def is_over(self) -> bool:
        """Whether it will never run again."""
        return self.state in (ProcessState.STOPPED, ProcessState.FAILED)

    def transition(self, to: ProcessState) -> None:
        """Change the state.

        Raises:
            IllegalTransitionError: The state does not allow it.
        """
        if to not in _ALLOWED[self.state]:
            raise IllegalTransitionError(f"a process cannot go from {self.state.name} to {to.name}")
        self.state = to

    def started(self) -> None:
        """Count a spawn; all but the first are restarts."""
        if self.state is ProcessState.BACKOFF:
            self.restarts += 1
        self.transition(ProcessState.STARTING)

    def ready(self) -> None:
        """Note that it said READY."""
        self.transition(ProcessState.READY)

    def ended(self, now: float, description: str, *, is_clean: bool) -> float | None:
        """Decide what follows its end: seconds until the next start, or None when it is over.

        A process that never was ready is not started again: it would fail the same way.

        Args:
            now: Monotonic seconds.
            description: How it ended, for `reason`.
            is_clean: It ended by itself with exit code 0, after READY.
        """
        if self.state is ProcessState.STOPPING or (is_clean and self.state is ProcessState.READY):
            self.transition(ProcessState.STOPPED)
            return None
        self.reason = description
        never_ready = self.state is ProcessState.STARTING and self.restarts == 0
        if never_ready:
            self.transition(ProcessState.FAILED)
            return None
        if self._budget.is_whole(now):
            self._backoff.reset()  # It ran well for a window: this is another fault.
        if not self._budget.take(now):
            self.reason = f"{description}; the budget of {self._budget.describe()} is used up"
            self.transition(ProcessState.FAILED)
            return None
        self.transition(ProcessState.BACKOFF)
        return self._backoff.next_delay()

    def stop(self) -> bool:
        """Note that it shall stop; True when a process is there to be told."""
        if self.state in (ProcessState.STARTING, ProcessState.READY):
            self.transition(ProcessState.STOPPING)
            return True
        if self.state in (ProcessState.NEW, ProcessState.BACKOFF):
            self.transition(ProcessState.STOPPED)
        return False
