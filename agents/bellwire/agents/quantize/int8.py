"""8-bit integers through onnxruntime.quantization.

Only products are computed in 8 bits: their inputs unsigned with one range, their weights signed with a range a channel.
Their results stay floats, and so does all between them. The quantizer by itself would round these too; that saves
nothing here and costs a trained network several percent of agreement, logits that lie close becoming equal.

On processors without VNNI such products may saturate: the gate's report is true for the machine it was made on.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Final, Protocol

from bellwire.agents.inference.tensor import Array
from bellwire.agents.quantize.calibration import Calibration
from bellwire.agents.quantize.graph import onnx_package, package, parsed, serialized
from bellwire.agents.tactical.onnx_graph import OBSERVATION, POSITION

PRODUCTS: Final = ("MatMul", "Gemm", "Conv")
BATCH_ROWS: Final = 64  # of calibration: what the quantizer keeps of one batch stays small


def int8_static(content: bytes, calibration: Calibration) -> bytes:
    """Return the model in 8 bits, the ranges of inputs fixed to those of the calibration.

    Raises:
        EngineMissingError: onnx or onnxruntime is not installed.
        Exception: What the quantizer raises.
    """
    tools = _tools()

    def quantize(source: Path, target: Path) -> None:
        tools.quantize_static(
            source,
            target,
            _Reader(calibration),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=list(PRODUCTS),
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            extra_options={"OpTypesToExcludeOutputQuantization": list(PRODUCTS)},
        )

    return _through_files(tools, content, quantize)


def int8_dynamic(content: bytes) -> bytes:
    """Return the model in 8 bits, the ranges of inputs taken from each batch as it comes.

    Raises:
        EngineMissingError: onnx or onnxruntime is not installed.
        Exception: What the quantizer raises.
    """
    tools = _tools()

    def quantize(source: Path, target: Path) -> None:
        tools.quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],  # a Gemm is taken apart first, convolutions stay float
            per_channel=True,
            weight_type=tools.QuantType.QInt8,
        )

    return _through_files(tools, content, quantize)


class _Reader:
    """Hands the calibration out in batches, as the quantizer asks for them."""

    def __init__(self, calibration: Calibration) -> None:
        self._batches = self._feeds(calibration)

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)

    def _feeds(self, calibration: Calibration) -> Iterator[dict[str, Array]]:
        for start in range(0, len(calibration.observations), BATCH_ROWS):
            rows = slice(start, start + BATCH_ROWS)
            yield {
                OBSERVATION.name: calibration.observations[rows],
                POSITION.name: calibration.positions[rows],
            }


class _Quantize(Protocol):
    def __call__(self, source: Path, target: Path) -> None: ...


def _tools() -> ModuleType:
    onnx_package()  # without it the other one fails by saying less
    return package("onnxruntime.quantization")


def _through_files(tools: ModuleType, content: bytes, quantize: _Quantize) -> bytes:
    """Prepare and quantize by way of files: given a model in memory, the preparation spoils it."""
    with TemporaryDirectory(prefix="bellwire-quantize-") as folder:
        given, prepared, made = (Path(folder, f"{name}.onnx") for name in ("in", "prepared", "out"))
        given.write_bytes(content)
        # Folds constants and infers shapes, without which the quantizer trips over a Gemm. Symbolic
        # inference would need sympy, and finds nothing more in a graph with one free dimension.
        tools.quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantize(prepared, made)
        return serialized(parsed(made.read_bytes()))
