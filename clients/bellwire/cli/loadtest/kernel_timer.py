"""A timer with the kernel's resolution: event loops count in milliseconds, a 10 k/s load cannot."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from types import TracebackType
from typing import Final, Self

CLOCK_MONOTONIC: Final = 1  # <time.h>; the clock of time.monotonic_ns() on Linux.
TFD_TIMER_ABSTIME: Final = 1  # <sys/timerfd.h>
TFD_NONBLOCK: Final = os.O_NONBLOCK
TFD_CLOEXEC: Final = os.O_CLOEXEC
EXPIRATIONS_BYTES: Final = 8  # A read gives one uint64.
NANOSECONDS_PER_SECOND: Final = 1_000_000_000

__all__ = ["KernelTimer"]


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class KernelTimer:
    """Wakes one task at absolute times of CLOCK_MONOTONIC. Linux only; os.timerfd_* needs 3.13."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._woken: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._fd, self._on_expired)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    async def wait_until(self, deadline_ns: int) -> None:
        """Suspend until `deadline_ns`; a time that is past still yields to the loop once."""
        # All zero would disarm the timer, so a deadline of 0 becomes the first nanosecond.
        seconds, nanoseconds = divmod(max(deadline_ns, 1), NANOSECONDS_PER_SECOND)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        self._woken = asyncio.get_running_loop().create_future()
        if self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")
        await self._woken

    def wake(self) -> None:
        """End the wait under way, if there is one."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _on_expired(self) -> None:
        # Set anew in the meantime, it has nothing to be read.
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, EXPIRATIONS_BYTES)
            self.wake()
