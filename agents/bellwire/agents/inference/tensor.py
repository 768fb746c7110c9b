"""What goes into a model and comes out of it: little-endian tensors with a name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bellwire.agents.inference.errors import InvalidTensorError

Array: TypeAlias = NDArray[Any]  # dtype and shape are told by a TensorSpec
Tensors: TypeAlias = Mapping[str, Array]

# Names as in KServe's Open Inference Protocol v2; on the wire all are little-endian.
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DIMENSIONS_MAX: Final = 8
TENSORS_MAX: Final = 64  # of a request, and of each side of a model
NAME_BYTES_MAX: Final = 128
TENSOR_BYTES_MAX: Final = 1024 * 1024  # as large as the arguments of a call may be


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    dtype: str
    """A key of `DTYPES`."""
    shape: tuple[int, ...]
    """Sizes after the batch dimension, which comes first in every tensor and is not named here."""

    def check(self, array: Array) -> int:
        """Return the batch size of a tensor that fits.

        Raises:
            InvalidTensorError: Another dtype or shape, an empty batch, or NaN or infinity in it.
        """
        expected = f"{self.dtype} of shape {self.shape_text}"
        if array.dtype != DTYPES[self.dtype] or array.shape[1:] != self.shape or array.ndim == 0:
            raise InvalidTensorError(self.name, f"{array.dtype} of shape {array.shape}", expected)
        if len(array) == 0:
            raise InvalidTensorError(self.name, "an empty batch", expected)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise InvalidTensorError(
                self.name, f"NaN or infinite in row {row}", "finite numbers only"
            )
        return len(array)

    @property
    def shape_text(self) -> str:
        """The shape for people, batch dimension included: (batch, 420)."""
        return f"({', '.join(['batch', *map(str, self.shape)])})"
