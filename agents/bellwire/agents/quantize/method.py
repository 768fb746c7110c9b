"""The ways to quantize a model."""

from enum import StrEnum
from typing import Self

from bellwire.agents.quantize.errors import UnknownMethodError


class Method(StrEnum):
    """How numbers are stored and products computed; the value goes into manifests and signals."""

    INT8_STATIC = "int8-static"
    """Weights and the inputs of products in 8 bits, ranges of the inputs fixed by calibration."""
    INT8_DYNAMIC = "int8-dynamic"
    """The same, the ranges taken from each batch: a row's answer depends on the rows beside it."""
    INT4_WEIGHTS = "int4-weights"
    """Weights in blocks of 4 bits, all else as it was: saves memory, not time."""

    @classmethod
    def named(cls, text: str) -> Self:
        """Return the method of that name.

        Raises:
            UnknownMethodError: There is none.
        """
        try:
            return cls(text)
        except ValueError as error:
            raise UnknownMethodError(text, tuple(cls)) from error
