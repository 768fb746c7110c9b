"""Gives back the memory that only the start of a process needed."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["clean_code", "give_back_start"]

logger = logging.getLogger(__name__)

SMAPS: Final = Path("/proc/self/smaps")
MADV_DONTNEED: Final = (
    4  # asm-generic/mman-common.h; the same wherever Linux runs Python but on Alpha.
)
_ADDRESS_DIGITS: Final = frozenset("0123456789abcdef")
_CODE: Final = "r-xp"


def clean_code(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Return address and size of each segment of code that is as its file has it, from lines of /proc/PID/smaps.

    Where a loader or a debugger has written to code there are pages of no file among it, "Anonymous" in proc(5):
    such a segment is left out, for they could not be read again.
    """
    found: list[tuple[int, int]] = []
    segment: tuple[int, int] | None = None
    for line in smaps:
        if line[:1] in _ADDRESS_DIGITS:
            addresses, access, _, _, inode, *_ = line.split(maxsplit=5)
            begin, end = (int(each, 16) for each in addresses.split("-"))
            segment = (begin, end - begin) if access == _CODE and inode != "0" else None
        elif segment is not None and line.startswith("Anonymous:"):
            if line.split()[1] == "0":
                found.append(segment)
            segment = None
    return found


def give_back_start() -> None:
    """Let go of code that is mapped and of memory that is free; what is used again comes back by itself.

    Of an inference engine most code runs only while it is loaded, and stays mapped: tens of megabytes. Pages of files
    are in the system's cache all the same, and mapped again where they are touched, at some µs for each 64 KiB
    (madvise(2), MADV_DONTNEED). Takes some milliseconds; does nothing where the system cannot do that.
    """
    try:
        from ctypes import (
            CDLL,
            c_int,
            c_size_t,
            c_void_p,
        )  # Half a megabyte where nobody else needs it.

        libc = CDLL(None)
        with SMAPS.open() as smaps:
            segments = clean_code(smaps)
        madvise, trim = libc.madvise, getattr(libc, "malloc_trim", None)
    except (ImportError, OSError, AttributeError, ValueError) as error:
        logger.debug("memory of the start is kept: %s", error)
        return
    madvise.argtypes = (c_void_p, c_size_t, c_int)
    for address, size_bytes in segments:
        madvise(
            address, size_bytes, MADV_DONTNEED
        )  # It refuses what is locked in memory: that stays.
    if trim is not None:
        trim(0)
