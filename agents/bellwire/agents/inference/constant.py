"""An endpoint that always says the same: the end of every chain."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bellwire.agents.inference.endpoint import InferenceRequest, InferenceResult
from bellwire.agents.inference.errors import InvalidTensorError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import DTYPES, Array, Tensors, TensorSpec

HOLD: Final = "hold"  # Who has answered, when nobody else did.
HOLD_INDEX: Final = 1  # Actions are ordered short, hold, long.
ROWS_MAX: Final = 65_536  # As many as a batch may have at most.


class ConstantEndpoint:
    """Answers each row with the same outputs; cannot fail, waits for nothing.

    Attributes:
        name: Its answers' `answered_by`.
        answers: Given.
    """

    def __init__(self, name: str, row: Tensors) -> None:
        """Keep what it says.

        Args:
            name: Its answers' `answered_by`.
            row: Outputs of one row, without the batch dimension; copied.
        """
        self.name = name
        self.answers = 0
        self._row: dict[str, Array] = {key: np.array(array) for key, array in row.items()}

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Answer as many rows as there are, whatever they are.

        Raises:
            InvalidTensorError: There is no row, or more than 65,536.
        """
        return self.answer(request)

    def answer(self, request: InferenceRequest) -> InferenceResult:
        """Answer at once, as `infer` does.

        Raises:
            InvalidTensorError: As `infer`.
        """
        rows = _rows_of(request.inputs)
        self.answers += 1
        outputs = {key: np.repeat(row[None], rows, axis=0) for key, row in self._row.items()}
        return InferenceResult(outputs, self.name)  # each (rows, …)

    def manifests(self) -> tuple[ModelManifest, ...]:
        """None: it is no model."""
        return ()


def hold(outputs: Sequence[TensorSpec], index: int = HOLD_INDEX) -> ConstantEndpoint:
    """Return an endpoint that is certain to do nothing.

    Args:
        outputs: Of the model it stands in for. Where the last dimension has more than `index` entries they are
            probabilities of actions, and become 1 at `index` and 0 elsewhere; all else (a value) becomes 0.
        index: Of the action that does nothing.
    """
    row: dict[str, Array] = {}
    for spec in outputs:
        array = np.zeros(spec.shape, DTYPES[spec.dtype])
        if spec.shape and spec.shape[-1] > index:
            array[..., index] = 1
        row[spec.name] = array
    return ConstantEndpoint(HOLD, row)


def _rows_of(inputs: Tensors) -> int:
    name, array = next(iter(inputs.items()), ("", None))
    rows = len(array) if array is not None and array.ndim else 0
    if not 1 <= rows <= ROWS_MAX:
        raise InvalidTensorError(name, f"{rows} rows", f"1 … {ROWS_MAX} rows")
    return rows
