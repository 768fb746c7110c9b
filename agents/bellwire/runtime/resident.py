"""Gives back the memory that only the start of a process needed."""

import logging
from collections.abc import Iterable
from itertools import chain
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
_WRITTEN: Final = frozenset({"Anonymous", "Swap", "Private_Hugetlb"})
_END: Final = "0-0 ---p 0 00:00 0"  # A segment without a byte: the one before it is told whole.


def clean_code(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Return address and size of each segment of code that is as its file has it, from lines of /proc/PID/smaps.

    Where a loader or a debugger has written to code there are pages of no file among it, in memory ("Anonymous" in
    proc(5)), swapped out ("Swap"), or large ("Private_Hugetlb"): such a segment is left out, for they could not be
    read again, and so is one of which the system does not tell all three.
    """
    found: list[tuple[int, int]] = []
    segment: tuple[int, int] | None = None
    clean: set[str] = set()
    for line in chain(smaps, [_END]):
        if line[:1] in _ADDRESS_DIGITS:
            if segment is not None and clean >= _WRITTEN:
                found.append(segment)
            segment, clean = _code_segment(line), set()
        elif segment is not None:
            name, _, amount = line.partition(":")
            if name in _WRITTEN and amount.split()[:1] == ["0"]:
                clean.add(name)
    return found


def _code_segment(line: str) -> tuple[int, int] | None:
    """Return address and size of a segment from its first line; None = it holds no code of a file."""
    addresses, access, _, _, inode, *_ = line.split(maxsplit=5)
    begin, end = (int(each, 16) for each in addresses.split("-"))
    return (begin, end - begin) if access == _CODE and inode != "0" else None


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
