"""What tells one question to a capability from another."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Final

from bellwire.agent.v1.invocation_pb2 import InvokeRequest

__all__ = ["digest_of"]

DIGEST_BYTES: Final = 16


def digest_of(request: InvokeRequest, principal: str) -> str:
    """Return what tells one question to a capability from another.

    JSON objects that differ only in blanks and the order of their names are one question.
    """
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in (principal.encode(), request.content_type.encode(), _canonical(request)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _canonical(request: InvokeRequest) -> bytes:
    if request.content_type not in ("", "application/json"):
        return request.arguments
    try:
        value = json.loads(request.arguments, object_pairs_hook=_without_twins, parse_float=_exact)
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return request.arguments


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse objects with a name twice: which one counts is for the agent to say."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _exact(text: str) -> float:
    """Refuse numbers that are not what is written: somebody may read more digits of them than we do."""
    number = float(text)
    if repr(number) != text:
        raise ValueError(f"{text} is written otherwise here")
    return number
