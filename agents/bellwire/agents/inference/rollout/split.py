"""Which keys a candidate answers: a share of all keys, the same ones each time, in every process.

The hash is BLAKE2b (RFC 7693) of 8 bytes over the UTF-8 of `model`, a zero byte and `key`, read as a big-endian number.
A key is the candidate's when that number is below share · 2⁶⁴. So each model splits the symbols in its own way; and
when a share grows, keys only join the candidate's side, and none changes over to the old version.
"""

from hashlib import blake2b
from typing import Final

HASH_BYTES: Final = 8
HASH_VALUES: Final = 1 << (8 * HASH_BYTES)


def position_of(model: str, key: str) -> int:
    """Return where a key lies among the 2⁶⁴ values, as any other program can compute it."""
    digest = blake2b(f"{model}\0{key}".encode(errors="surrogatepass"), digest_size=HASH_BYTES)
    return int.from_bytes(digest.digest(), "big")


def is_candidates(model: str, key: str, share: float) -> bool:
    """Tell whether the candidate answers for a key.

    Args:
        model: Name, without version.
        key: Symbol or whatever requests are split by; empty = never the candidate's.
        share: 0 … 1 of the keys.
    """
    return bool(key) and position_of(model, key) < share * HASH_VALUES
