"""Who holds the lease of a group, as it is written into Redis. No I/O."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from bellwire.wire.errors import CallerError

__all__ = ["Holder", "LeaseValueError", "lease_key"]

KEY_PREFIX: Final = "bellwire:owner:"
VALUE_BYTES_MAX: Final = 4_096  # Ours have about 200.


class LeaseValueError(CallerError):
    """What stands at the key of the lease was not written by a coordinator."""

    reason = "LEASE_VALUE_INVALID"

    def __init__(self, key: str, value: bytes) -> None:
        """Name the key and what it holds."""
        super().__init__(
            f"Redis holds {value[:80]!r} at {key!r}, which is no lease of a coordinator: delete the key, or "
            "give this group another name",
            metadata={"key": key},
        )


def lease_key(group: str) -> str:
    """Return the key of a group's lease."""
    return f"{KEY_PREFIX}{group}"


@dataclass(frozen=True, slots=True)
class Holder:
    """A coordinator that holds the lease, or would like to.

    Attributes:
        address: Where clients reach it, "host:port" or "unix:///path".
        id: Of this process's life; two of the same address are two.
        since_ns: When it wrote the value first, nanoseconds since the Unix epoch.
    """

    address: str
    id: str
    since_ns: int

    def encode(self) -> bytes:
        """Return the value as it is written."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, key: str, value: bytes) -> Holder:
        """Read a value.

        Raises:
            LeaseValueError: It is none of ours.
        """
        try:
            if len(value) > VALUE_BYTES_MAX:
                raise ValueError
            found = json.loads(value)
            address, id_, since_ns = found["address"], found["id"], found["since_ns"]
            if not (
                isinstance(address, str) and isinstance(id_, str) and isinstance(since_ns, int)
            ):
                raise TypeError
            if not id_:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise LeaseValueError(key, value) from None
        return cls(address, id_, since_ns)
