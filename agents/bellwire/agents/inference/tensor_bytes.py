"""Tensors as little-endian bytes and back; what comes in is not copied and cannot be written to."""

from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np

from bellwire.agents.inference.errors import InvalidTensorError
from bellwire.agents.inference.tensor import DIMENSIONS_MAX, DTYPES, TENSOR_BYTES_MAX, Array

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


def array_of(name: str, dtype: str, shape: Sequence[int], data: bytes) -> Array:
    """Return a read-only view of the bytes as an array.

    Args:
        name: Of the tensor, for errors.
        dtype: A key of `DTYPES`.
        shape: 1 to 8 dimensions, the batch first.
        data: Little-endian, row-major, at most 1 MiB.

    Raises:
        InvalidTensorError: The bytes are not what dtype and shape say, or a bound is exceeded.
    """
    check_shape(name, dtype, shape)
    found = DTYPES[dtype]
    wanted = prod(shape) * found.itemsize
    if len(data) != wanted:
        text = f"{wanted} bytes for {dtype} of shape {tuple(shape)}"
        raise InvalidTensorError(name, f"{len(data)} bytes long", text)
    if found.kind == "b" and max(data, default=0) > 1:
        raise InvalidTensorError(name, f"a BOOL of byte {max(data)}", "bytes 0 and 1")
    return np.frombuffer(data, found).reshape(tuple(shape))  # (batch, …) as the sender says


def bytes_of(name: str, array: Array) -> tuple[str, bytes]:
    """Return the name of an array's dtype, and its elements as little-endian bytes.

    Raises:
        InvalidTensorError: It cannot travel: another dtype, more than 8 dimensions, none, or above 1 MiB.
    """
    dtype = _NAMES.get(array.dtype.newbyteorder("<"))
    if dtype is None:
        raise InvalidTensorError(name, f"of dtype {array.dtype}", " | ".join(DTYPES))
    check_shape(name, dtype, array.shape)
    return dtype, array.astype(DTYPES[dtype], copy=False).tobytes()


def check_shape(name: str, dtype: str, shape: Sequence[int]) -> None:
    """Refuse what cannot be a tensor before anything of its size is allocated.

    Raises:
        InvalidTensorError: An unknown dtype, 0 or more than 8 dimensions, a negative one, or above 1 MiB, where a
            size of 0 counts as 1.
    """
    if dtype not in DTYPES:
        raise InvalidTensorError(name, f"of dtype {dtype!r}", " | ".join(DTYPES))
    if not 1 <= len(shape) <= DIMENSIONS_MAX:
        text = f"1 to {DIMENSIONS_MAX}, the batch first"
        raise InvalidTensorError(name, f"of {len(shape)} dimensions", text)
    if min(shape) < 0:
        raise InvalidTensorError(name, "of a size below 0", "no size below 0")
    limit = f"at most {TENSOR_BYTES_MAX} bytes: ask with fewer rows"
    # Not printed: JSON's numbers may have more digits than Python turns into text.
    if max(shape) > TENSOR_BYTES_MAX:
        raise InvalidTensorError(name, f"of a size above {TENSOR_BYTES_MAX}", limit)
    # A size of 0 must not hide what the others are: numpy multiplies them all the same.
    size_bytes = prod(max(1, size) for size in shape) * DTYPES[dtype].itemsize
    if size_bytes > TENSOR_BYTES_MAX:
        raise InvalidTensorError(name, f"{size_bytes} bytes long", limit)
