"""Client order ids: the same signal and leg always give the same one."""

import re
from base64 import b32encode
from hashlib import sha256
from typing import Final

from bellwire.wire.errors import CallerError

CL_ORD_ID_CHARACTERS_MAX: Final = 32  # the longest that common crypto venues take
PREFIX_CHARACTERS_MAX: Final = 6  # leaves 25 characters, 125 bits, for the hash
DEFAULT_PREFIX: Final = "BW"
_PREFIX: Final = re.compile(r"[A-Za-z0-9]{1,6}")
_HASH_CHARACTERS: Final = 25  # base32 carries 5 bits each: a collision needs about 2**62 orders


class OrderIdPrefixError(CallerError):
    """The prefix cannot begin a client order id."""

    reason = "ORDER_ID_PREFIX_INVALID"

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        super().__init__(
            f"order id prefix {prefix!r} is not allowed: use 1 to {PREFIX_CHARACTERS_MAX} "
            "characters of [A-Za-z0-9]"
        )


def client_order_id(signal_id: str, leg: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Return the `cl_ord_id` (FIX 11) of one leg of a signal, `[A-Za-z0-9-]`, at most 32 characters.

    It is the idempotency key end to end: a replayed signal gives the id its order already has.
    Parts are length-prefixed before hashing, so that no two pairs can run together.

    Raises:
        OrderIdPrefixError: the prefix is empty, too long or has other characters.
    """
    if _PREFIX.fullmatch(prefix) is None:
        raise OrderIdPrefixError(prefix)
    parts = (signal_id.encode(), leg.encode())
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    text = b32encode(sha256(framed).digest()).decode("ascii")
    return f"{prefix}-{text[:_HASH_CHARACTERS]}"
