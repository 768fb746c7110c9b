"""How long an agent may be silent while it takes a partition up: a deadline that each sign of life moves on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from bellwire.runtime.errors import AssignTimeoutError


class Patience:
    """A deadline that begins anew with each message that arrives, and stands still during a wait for a turn."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds
        self._pauses = 0
        self._is_over = False

    def heard(self) -> None:
        """Begin the wait anew: something arrived."""
        if not self._pauses:
            self._set(asyncio.get_running_loop().time() + self._seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time count; it begins anew afterwards."""
        self._pauses += 1
        self._set(None)
        try:
            yield
        finally:
            self._pauses -= 1
            self.heard()

    def end(self) -> None:
        """Be heard no more: whoever was given this may keep it."""
        self._is_over = True

    def _set(self, when: float | None) -> None:
        if not self._is_over and not self._timeout.expired():
            self._timeout.reschedule(when)


_CURRENT: ContextVar[Patience | None] = ContextVar("patience", default=None)


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Bound what is awaited within by its silence, in seconds; `heard` and `waiting` below speak to it.

    Raises:
        AssignTimeoutError: For so long nothing arrived.
    """
    timeout = asyncio.timeout(seconds)
    current = Patience(timeout, seconds)
    token = _CURRENT.set(current)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise AssignTimeoutError(seconds) from None
        raise
    finally:
        current.end()
        _CURRENT.reset(token)


def heard() -> None:
    """Say that something arrived; nothing where nobody waits."""
    current = _CURRENT.get()
    if current is not None:
        current.heard()


@contextmanager
def waiting() -> Iterator[None]:
    """Wait for one's turn: that is nobody's silence, because others are at work."""
    current = _CURRENT.get()
    if current is None:
        yield
        return
    with current.paused():
        yield
