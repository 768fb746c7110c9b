"""Bytes this process has moved over TCP, read from the kernel: no client library has to tell."""

import os
import socket
import stat
from struct import Struct
from typing import Final, NamedTuple

TCP_INFO_BYTES: Final = 256  # Longer than struct tcp_info of any kernel the offsets below hold for.
# struct tcp_info in <linux/tcp.h>, fields tcpi_bytes_acked and tcpi_bytes_received (Linux 4.1).
ACKED_AND_RECEIVED: Final = Struct("=QQ")
ACKED_OFFSET: Final = 120


class TcpBytes(NamedTuple):
    """Payload bytes of TCP: with HTTP/2 or other framing, without IP and TCP headers."""

    sent: int
    received: int


def tcp_bytes_of_this_process() -> TcpBytes | None:
    """Sum over the connected TCP sockets of this process; None when it has none (Unix sockets)."""
    found = [info for fd in map(int, os.listdir("/proc/self/fd")) if (info := _tcp_bytes(fd))]
    if not found:
        return None
    return TcpBytes(sum(each.sent for each in found), sum(each.received for each in found))


def _tcp_bytes(fd: int) -> TcpBytes | None:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        duplicate = socket.socket(fileno=os.dup(fd))
    except OSError:  # The descriptor of the directory listing itself is gone by now.
        return None
    with duplicate:
        if duplicate.family == socket.AF_UNIX or duplicate.type != socket.SOCK_STREAM:
            return None
        info = duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        return TcpBytes(*ACKED_AND_RECEIVED.unpack_from(info, ACKED_OFFSET))
