"""What a result is found by: model, version, the caller's name for it, and a digest of the inputs."""

from hashlib import blake2b
from typing import Final, TypeAlias

from bellwire.agents.inference.endpoint import InferenceRequest
from bellwire.agents.inference.tensor import Tensors

DIGEST_BYTES: Final = 16  # 2^64 results until two of them are likely to share one.

ResultKey: TypeAlias = "tuple[str, int, str, str, bytes]"
"""Model, version, what canaries split by, the caller's `cache_key`, and the digest."""


def key_of(request: InferenceRequest) -> ResultKey:
    """Return what names a result; the split key counts only where a version is still to be chosen."""
    split_by = "" if request.version else request.key
    digest = digest_of(request.inputs)
    return request.model, request.version, split_by, request.cache_key, digest


def digest_of(inputs: Tensors) -> bytes:
    """Return BLAKE2b (RFC 7693), 16 bytes, over names, types, shapes and numbers of all inputs.

    Each is preceded by its description and its size, so that no two sets of inputs are the same bytes; the order
    they were given in does not matter, nor how they lie in memory.
    """
    digest = blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(inputs):
        array = inputs[name]
        head = f"{name!r} {array.dtype.str} {array.shape} {array.nbytes}\n"
        digest.update(head.encode("utf-8", "surrogatepass"))
        digest.update(array.tobytes())
    return digest.digest()
