"""Where a coordinator is: "host:port" or "unix:///path"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bellwire.wire.errors import CallerError

__all__ = ["Address", "AddressError", "parse_address", "parse_addresses"]

UNIX_SCHEME: Final = "unix://"
UNIX_PATH_BYTES_MAX: Final = 107  # sockaddr_un.sun_path on Linux holds 108 with its final NUL.
PORT_MAX: Final = 65_535
ADDRESSES_MAX: Final = 16  # Of one group; more is a mistake.
_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s/:\[\]]+)):(?P<port>\d{1,5})"
)


class AddressError(CallerError):
    """The address is neither "host:port" nor "unix:///path"."""

    reason = "INVALID_ADDRESS"

    def __init__(self, address: str, why: str) -> None:
        """Name the address and what is wrong with it."""
        self.address = address
        super().__init__(
            f"address {address!r} {why}: use 'host:port', for example '127.0.0.1:7400', "
            "or 'unix:///path', for example 'unix:///run/bellwire/bus.sock'",
            metadata={"address": address},
        )


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at or to connect to; exactly one of `path` and `host` is set."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        """True for a Unix socket."""
        return bool(self.path)

    @property
    def target(self) -> str:
        """The address as gRPC names it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{UNIX_SCHEME}{self.path}" if self.path else self.target


def parse_address(text: str) -> Address:
    """Read an address; port 0 stands for "any free port" and is for listening only.

    Raises:
        AddressError: It is malformed, the port is above 65,535 or the path above 107 bytes.
    """
    if text.startswith(UNIX_SCHEME):
        return _parse_unix(text)
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise AddressError(text, "is malformed")
    port = int(match["port"])
    if port > PORT_MAX:
        raise AddressError(text, f"has port {port}, above {PORT_MAX}")
    return Address(host=match["ipv6"] or match["host"], port=port)


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read one address, or several with commas between: coordinators of one group.

    Raises:
        AddressError: One is malformed, or there are more than `ADDRESSES_MAX`.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > ADDRESSES_MAX:
        raise AddressError(text[:100], f"names {len(parts)} coordinators, above {ADDRESSES_MAX}")
    return tuple(dict.fromkeys(map(parse_address, parts)))


def _parse_unix(text: str) -> Address:
    path = text.removeprefix(UNIX_SCHEME)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise AddressError(text, "names no absolute file path")
    size_bytes = len(path.encode())
    if size_bytes > UNIX_PATH_BYTES_MAX:
        raise AddressError(text, f"has a path of {size_bytes} bytes, above {UNIX_PATH_BYTES_MAX}")
    return Address(path=path)
