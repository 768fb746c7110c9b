"""The envelope: what comes back is what was put in, under that key, or it is garbage."""

from __future__ import annotations

import pytest

from bellwire.policy.envelope import ENVELOPE_BYTES, Envelope, GarbageError, open_envelope

TOKEN = bytes(range(16))
KEY = b"bellwire:{tool}:v1:abc"
SEALED = Envelope(TOKEN, 1_500_000_000_000_000_000, b"payload").seal(KEY)


def test_a_sealed_value_is_opened_under_its_key() -> None:
    assert open_envelope(SEALED, KEY) == Envelope(TOKEN, 1_500_000_000_000_000_000, b"payload")
    assert open_envelope(Envelope(TOKEN, 0, b"").seal(KEY), KEY).payload == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"OK",
        SEALED[: ENVELOPE_BYTES - 1],
        SEALED[:-1],
        SEALED + b"x",
        b"BWC9" + SEALED[4:],
        b"\x80\x04\x95" + SEALED,
    ],
)
def test_anything_else_is_garbage(data: bytes) -> None:
    with pytest.raises(GarbageError):
        open_envelope(data, KEY)


def test_the_value_of_another_key_is_garbage() -> None:
    with pytest.raises(GarbageError, match="checksum"):
        open_envelope(SEALED, KEY + b"d")


def test_every_changed_byte_is_noticed() -> None:
    for place in range(len(SEALED)):
        data = bytearray(SEALED)
        data[place] ^= 0x40
        with pytest.raises(GarbageError):
            open_envelope(bytes(data), KEY)


def test_a_token_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="15 bytes, 16 are expected"):
        Envelope(TOKEN[1:], 0, b"").seal(KEY)
