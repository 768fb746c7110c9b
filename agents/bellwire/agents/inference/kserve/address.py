"""Where a door is opened: HOST:PORT as people write it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final

from bellwire.agents.inference.kserve.errors import KserveListenError

PORT_MAX: Final = 65_535
BACKLOG: Final = 128  # connections that wait to be taken; beyond, the kernel lets them try again


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port of this machine."""

    host: str
    """Name or number, an IPv6 address without its brackets."""
    port: int
    """0 = any."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read HOST:PORT or [IPV6]:PORT.

    Raises:
        KserveListenError: There is no host, no port from 0 to 65,535, or an IPv6 address without brackets.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not colon or not host or host.strip() != host or (":" in host) != is_bracketed:
        raise KserveListenError(text, "it is no HOST:PORT, or [HOST]:PORT for IPv6")
    is_number = port.isascii() and port.isdecimal() and len(port) <= len(str(PORT_MAX))
    if not is_number or int(port) > PORT_MAX:
        raise KserveListenError(text, f"port {port!r:.32} is no number from 0 to {PORT_MAX}")
    return Address(host, int(port))


def listener(text: str, *, is_dual: bool = False) -> socket.socket:
    """Return a socket that listens at HOST:PORT as people write it.

    Args:
        is_dual: Whether [::] means the addresses of IPv4, too, where the system can do that.

    Raises:
        KserveListenError: It is no address, not of this machine, or somebody else listens there.
    """
    address = parse_address(text)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(
            (address.host, address.port),
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=is_dual and family is socket.AF_INET6 and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            cause = f"port {address.port} is taken"
            raise KserveListenError(text, cause, "stop who has it, or use another") from error
        # Python adds "(while attempting to bind …)" to its text.
        cause = (error.strerror or str(error)).partition(" (")[0]
        raise KserveListenError(text, cause) from error


def check_free(text: str) -> None:
    """Try an address as gRPC is to listen at it, whose own error does not say why: with IPv4, where it is [::].

    Raises:
        KserveListenError: As `listener`.
    """
    listener(text, is_dual=True).close()
