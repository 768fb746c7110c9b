"""How far an agent has come in one partition, and what to do with a message; sans I/O."""

from enum import Enum, auto


class Admission(Enum):
    """What to do with a delivered message."""

    HANDLE = auto()
    """It is the next one."""
    DUPLICATE = auto()
    """It was handled already and came again after a reconnect: accept it, handle nothing."""
    RELEASE = auto()
    """An earlier message is on its way back and must go first."""


class Verdict(Enum):
    """What to do with a message that failed."""

    RETRY = auto()
    """Release it and everything behind it."""
    POISON = auto()
    """It failed too often: accept it, say so, go on."""


class Progress:
    """Keeps one partition in order through failures, redeliveries and reconnects.

    What was released must come back before anything behind it is handled, until waiting longer
    makes no sense because another replica may have it.
    """

    __slots__ = (
        "_attempts_max",
        "_awaited",
        "_failures",
        "_rewind_wait_seconds",
        "handled_through",
    )

    def __init__(self, *, attempts_max: int, rewind_wait_seconds: float) -> None:
        """Set the bounds.

        Args:
            attempts_max: A message that failed so often is poison, ≥ 1.
            rewind_wait_seconds: How long a released message is waited for.
        """
        self._attempts_max = attempts_max
        self._rewind_wait_seconds = rewind_wait_seconds
        # Offsets on their way back and until when each is waited for; bounded by the window,
        # since a released message frees its place only by coming back or being given up.
        self._awaited: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self.handled_through = -1
        """Offset of the last message handled; -1 = none."""

    def admit(self, offset: int, attempt: int, now: float) -> Admission:
        """Decide about a delivery.

        Args:
            offset: Of the message.
            attempt: Times it was handed out before.
            now: Monotonic seconds.
        """
        earliest = self._earliest_awaited(now)
        if earliest >= 0 and offset > earliest:
            return Admission.RELEASE
        if offset == earliest:
            del self._awaited[offset]
            return Admission.HANDLE
        # A first delivery of an old offset is a cursor that was moved back on purpose.
        if attempt > 0 and offset <= self.handled_through:
            return Admission.DUPLICATE
        return Admission.HANDLE

    def handled(self, offset: int) -> None:
        """Count a message as handled."""
        self.handled_through = offset

    def settled(self, offset: int) -> None:
        """Forget the failures of a message that is done."""
        if self._failures:
            self._failures.pop(offset, None)

    def failed(self, offset: int, *, hopeless: bool = False) -> Verdict:
        """Count a failure and decide what becomes of the message.

        Args:
            offset: Of the message.
            hopeless: Trying again cannot help.
        """
        failures = self._failures.get(offset, 0) + 1
        if hopeless or failures >= self._attempts_max:
            self._failures.pop(offset, None)
            self.handled_through = max(self.handled_through, offset)
            return Verdict.POISON
        self._failures[offset] = failures
        return Verdict.RETRY

    def released(self, offset: int, now: float) -> None:
        """Note that a message was given back and is waited for."""
        self._awaited[offset] = now + self._rewind_wait_seconds
        self.handled_through = min(self.handled_through, offset - 1)

    def failures(self, offset: int) -> int:
        """Return how often a message failed so far."""
        return self._failures.get(offset, 0)

    def _earliest_awaited(self, now: float) -> int:
        while self._awaited:
            earliest = min(self._awaited)
            if now < self._awaited[earliest]:
                return earliest
            del self._awaited[earliest]
        return -1
