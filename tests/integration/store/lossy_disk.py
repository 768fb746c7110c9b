"""A file system that forgets, at a crash, every byte that was not fsynced. FUSE; runs as its own process.

`python -m tests.integration.store.lossy_disk FOLDER PLATTER` mounts what the file PLATTER holds. A byte written to
`.crash` in it is the crash: what was synced by then is saved to PLATTER, and nothing else. Unmount it then, since
the kernel still shows what is gone, and mount it anew. It is hard on purpose: a disk may keep some of what was not
synced, this one keeps nothing.
"""

from __future__ import annotations

import pickle
import stat
import sys
from errno import ENOENT
from pathlib import Path
from typing import Any, Final

from fuse import (  # type: ignore[import-untyped]  # fusepy has no type information.
    FUSE,
    FuseOSError,
    Operations,
)

CRASH: Final = "/.crash"
FOLDERS: Final = ("/", "/data")  # There from the start; losing folders is not the point.


class LossyDisk(Operations):  # type: ignore[misc]  # As above.
    """Files in memory, twice: as the kernel sees them, and as they were last synced."""

    def __init__(self, platter: Path) -> None:
        self._platter = platter
        self._synced: dict[str, bytes] = (
            pickle.loads(platter.read_bytes()) if platter.exists() else {}
        )
        self._shown = {name: bytearray(held) for name, held in self._synced.items()}
        above = (str(folder) for name in self._synced for folder in Path(name).parents)
        self._folders = {*FOLDERS, *above}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        if path in self._folders:
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path != CRASH and path not in self._shown:
            raise FuseOSError(ENOENT)
        size = len(self._shown.get(path, b""))
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}

    def readdir(self, path: str, fh: int) -> list[str]:
        prefix = path.rstrip("/") + "/"
        names = [*self._shown, *(self._folders - {"/"})]
        below = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        return [".", "..", *(name for name in below if "/" not in name)]

    def mkdir(self, path: str, mode: int) -> None:
        self._folders.add(path)

    def rmdir(self, path: str) -> None:
        self._folders.discard(path)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._shown[path] = bytearray()
        return 1

    def open(self, path: str, flags: int) -> int:
        return 1

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._shown[path][offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if path == CRASH:
            self._platter.write_bytes(pickle.dumps(self._synced))
            return len(data)
        held = self._shown[path]
        held.extend(bytes(max(0, offset - len(held))))
        held[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        if path == CRASH:
            return
        held = self._shown[path]
        held.extend(bytes(max(0, length - len(held))))
        del held[length:]

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._synced[path] = bytes(self._shown[path])
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return 0  # Names are as durable as what they name.

    def unlink(self, path: str) -> None:
        self._shown.pop(path, None)
        self._synced.pop(path, None)

    def rename(self, old: str, new: str) -> None:
        self._shown[new] = self._shown.pop(old)
        self._synced[new] = self._synced.pop(old, b"")


if __name__ == "__main__":
    FUSE(LossyDisk(Path(sys.argv[2])), sys.argv[1], foreground=True, nothreads=True)
