"""What the process keeps of the memory that it frees."""

from __future__ import annotations

from typing import Final

__all__ = ["KEPT_BLOCK_BYTES", "keep_freed_blocks"]

# A full frame holds 1 MiB, and protobuf doubles the buffer it writes into until all of it fits.
KEPT_BLOCK_BYTES: Final = 2 << 20


def keep_freed_blocks() -> None:
    """Have blocks of up to 2 MiB kept when they are freed, for the next message, instead of given back to the system.

    By itself glibc asks the system for every block above 128 KiB and gives it back at once: each message of that
    size then costs a page fault for each 4 KiB of each of its copies, which is twenty times the copying. glibc raises
    that limit, up to 32 MiB, to the largest block that was ever freed, and keeps up to twice as much at the end of
    its heap (mallopt(3), M_MMAP_THRESHOLD): so one is taken, never written to, and freed. Where the environment
    sets MALLOC_MMAP_THRESHOLD_ or MALLOC_TRIM_THRESHOLD_ that counts, and other allocators have rules of their own.

    Takes some microseconds; the process may hold up to 4 MiB more in each of its heaps than it needs.
    """
    bytes(KEPT_BLOCK_BYTES)
