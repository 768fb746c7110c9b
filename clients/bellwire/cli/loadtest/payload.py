"""Payloads of a load: a stamp, and real text behind it."""

from __future__ import annotations

import gzip
from typing import Final

from bellwire.agents.data.series import EURUSD_1H
from bellwire.cli.loadtest.stamp import STAMP_BYTES

__all__ = ["PAYLOAD_BYTES_DEFAULT", "bodies"]

PAYLOAD_BYTES_DEFAULT: Final = 200  # A signal or an order with its ids is about this long.
# Enough different bodies that no compressor sees one twice within a batch of 1,000.
BODIES: Final = 1_500


def bodies(payload_bytes: int) -> list[bytes]:
    """Return what stands behind the stamps of payloads of that size, in turn.

    Consecutive pieces of the bundled EURUSD bars: real text neither flatters a compressing bus as
    zeros would, nor hides what it costs as random bytes would. Long bodies are fewer.
    """
    text = gzip.decompress(EURUSD_1H.path.read_bytes())
    text = text[text.index(b"\n") + 1 :]
    size = payload_bytes - STAMP_BYTES
    if size <= 0:
        return [b""]
    text *= -(-size // len(text))
    count = max(1, min(BODIES, len(text) // size))
    return [text[start : start + size] for start in range(0, count * size, size)]
