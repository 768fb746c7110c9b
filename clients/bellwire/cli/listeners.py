"""Who listens at an address of this machine, told by the kernel: also when the process hangs."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bellwire.transport.address import Address

__all__ = ["listener_pid", "listening_inodes"]

PROC: Final = Path("/proc")
_TCP_LISTEN: Final = "0A"  # State column of /proc/net/tcp (proc_net_tcp(5)).
_UNIX_LISTENING: Final = 0x00010000  # Flag __SO_ACCEPTCON of /proc/net/unix.
_TABLES: Final = (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6))
_ANY: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


def listener_pid(address: Address) -> int | None:
    """Return the process that listens there; None when no process this user may look into does."""
    inodes = set(listening_inodes(address))
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return next((pid for pid in _pids() if wanted.intersection(_open_files(pid))), None)


def listening_inodes(address: Address) -> list[int]:
    """Return the inodes of the sockets that listen at an address of this machine; 0 is never one."""
    if address.is_unix:
        return list(_unix_inodes(address.path))
    return list(_tcp_inodes(address))


def _unix_inodes(path: str) -> Iterator[int]:
    wanted = {path, os.path.realpath(path)}
    for line in _lines(PROC / "net/unix"):
        # Num: RefCount Protocol Flags Type St Inode Path; a path may hold spaces.
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7] in wanted and int(fields[3], 16) & _UNIX_LISTENING:
            yield int(fields[6])


def _tcp_inodes(address: Address) -> Iterator[int]:
    hosts = _own_numbers(address.host)
    if not hosts:
        return
    # gRPC listens on IPv4 addresses through IPv6 sockets: there they appear mapped (RFC 4291 §2.5.5.2).
    mapped = {(socket.AF_INET6, f"::ffff:{host}") for of, host in hosts if of == socket.AF_INET}
    for table, family in _TABLES:
        numbers = (number for of, number in hosts | mapped if of == family)
        wanted = {
            f"{_hex_host(number, family)}:{address.port:04X}" for number in (*numbers, _ANY[family])
        }
        for line in _lines(PROC / "net" / table):
            fields = line.split()
            if fields[3] == _TCP_LISTEN and fields[1] in wanted:
                yield int(fields[9])


def _own_numbers(host: str) -> set[tuple[socket.AddressFamily, str]]:
    """Return family and number of those addresses of a host that are this machine's own.

    Only those: a wildcard listener here must not pass for the one of another machine.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {(family, str(where[0])) for family, _, _, _, where in found if _is_own(family, where)}


def _is_own(family: socket.AddressFamily, where: tuple[object, ...]) -> bool:
    """Tell whether this machine has an address: only then can a socket be bound to it."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((where[0], 0, *where[2:]))
        except OSError:
            return False
    return True


def _hex_host(host: str, family: socket.AddressFamily) -> str:
    """Return an address as the kernel prints it: 32-bit words in the machine's own byte order."""
    packed = socket.inet_pton(family, host.partition("%")[0])
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return ()


def _pids() -> Iterator[int]:
    yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def _open_files(pid: int) -> set[str]:
    """Return what a process's descriptors point at; nothing of a process of another user."""
    folder = PROC / str(pid) / "fd"
    targets: set[str] = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return targets
    for name in names:
        try:
            targets.add(os.readlink(folder / name))
        except OSError:
            continue  # Closed meanwhile.
    return targets
