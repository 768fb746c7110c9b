"""A model in ONNX Runtime, as the gate and the clock ask it: one thread, no spinning."""

from importlib import import_module
from typing import Final

import numpy as np

from bellwire.agents.inference.errors import EngineFailedError, EngineMissingError
from bellwire.agents.inference.tensor import Array
from bellwire.agents.quantize.contract import OBSERVATION, POSITION, PROBABILITIES
from bellwire.agents.quantize.held_out import Floats

REMEDY: Final = "pip install 'bellwire[models]'"
_LOG_NOTHING: Final = 4  # ONNX Runtime's "fatal": what goes wrong is raised, and told once


class LoadFailedError(Exception):
    """ONNX Runtime does not load these bytes; the text says why. Turned into the caller's own error."""


class Session:
    """One model that answers."""

    def __init__(self, key: str, content: bytes) -> None:
        """Load it; `key` is what errors call it.

        Raises:
            EngineMissingError: onnxruntime is not installed.
            LoadFailedError: These bytes are no model.
        """
        try:
            runtime = import_module("onnxruntime")
        except ImportError as error:
            raise EngineMissingError("quantize", "the package onnxruntime", REMEDY) from error
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _LOG_NOTHING
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            made = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise LoadFailedError(str(error)) from error
        self._key = key
        self._run = made.run
        self.names: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (
            tuple(sorted(node.name for node in made.get_inputs())),
            tuple(sorted(node.name for node in made.get_outputs())),
        )
        """Of its inputs and of its outputs."""

    def outputs(self, observations: Floats, positions: Floats) -> list[Array]:
        """Compute all outputs, as a server would.

        Raises:
            EngineFailedError: ONNX Runtime failed.
        """
        try:
            made: list[Array] = self._run(
                None, {OBSERVATION.name: observations, POSITION.name: positions}
            )
        except Exception as error:
            raise EngineFailedError(self._key, str(error)) from error
        return made

    def probabilities(self, observations: Floats, positions: Floats) -> Floats:
        """Return the probabilities (n, 3, 3) for observations (n, 420) and positions (n, 1).

        Raises:
            EngineFailedError: ONNX Runtime failed, or its answer is not finite.
        """
        feed = {OBSERVATION.name: observations, POSITION.name: positions}
        try:
            made: Floats = self._run([PROBABILITIES.name], feed)[0]
        except Exception as error:
            raise EngineFailedError(self._key, str(error)) from error
        if not np.isfinite(made).all():
            raise EngineFailedError(self._key, "it answers NaN or infinity")
        return made
