"""What computes a model's outputs."""

from typing import Protocol

from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import Tensors


class Engine(Protocol):
    """A model that is loaded and may be asked; one for ONNX Runtime, torch, numpy, ….

    `infer` blocks for as long as it computes and may be called from any one thread at a time.
    """

    @property
    def manifest(self) -> ModelManifest:
        """What it was loaded from."""
        ...

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs for a batch that was checked against the manifest's specs.

        They are the caller's from now on: nothing is written into them any more.

        Raises:
            EngineFailedError: It could not compute; the next batch may go well.
        """
        ...

    def close(self) -> None:
        """Give memory and devices back; it is not asked again."""
        ...
