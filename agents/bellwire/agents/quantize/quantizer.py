"""From a model's folder to a quantized version with the report of its gate."""

from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bellwire.agents.inference.errors import EngineMissingError
from bellwire.agents.inference.gate import GATE, PARENT
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.quantize.agreement import answers, compare
from bellwire.agents.quantize.bars import BarWindows
from bellwire.agents.quantize.calibration import Data
from bellwire.agents.quantize.contract import check_parent, invalid_graph
from bellwire.agents.quantize.errors import (
    CalibrationError,
    NotQuantizableError,
    QuantizationFailedError,
)
from bellwire.agents.quantize.gate import GateReport, judge
from bellwire.agents.quantize.held_out import walk
from bellwire.agents.quantize.int4 import NothingToQuantizeError, int4_weights
from bellwire.agents.quantize.int8 import int8_dynamic, int8_static
from bellwire.agents.quantize.method import Method
from bellwire.agents.quantize.session import LoadFailedError, Session
from bellwire.agents.quantize.settings import GateSettings
from bellwire.agents.quantize.timing import Speed, TimingSettings, measure
from bellwire.agents.quantize.version_folder import add_version, read_model

QUANTIZATION: Final = "quantization"  # key of a manifest's metadata


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What to quantize, and where to put it."""

    parent: Path
    """Folder of one version."""
    models: Path
    """Folder of models: the new version goes to `<models>/<name>/<next version>`."""
    method: Method
    data: Data
    gate: GateSettings = field(default_factory=GateSettings)
    timing: TimingSettings = field(default_factory=TimingSettings)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of it: the version is written, whether its gate passed or not."""

    parent: ModelManifest
    manifest: ModelManifest
    folder: Path
    bytes_before: int
    bytes_after: int
    report: GateReport
    speed_before: Speed
    speed_after: Speed


def quantize_model(job: Job) -> Outcome:
    """Quantize, measure against the parent, write a version with the verdict. Blocks for seconds.

    Raises:
        InvalidModelError: The parent's files are absent or damaged.
        NotQuantizableError: It is no tactical ONNX model, quantized already, or has nothing to quantize.
        CalibrationError: Too few bars are held out.
        EngineMissingError: onnx or onnxruntime is not installed.
        QuantizationFailedError: The quantizer raised, or its model cannot be loaded; nothing was written.
        EngineFailedError: One of the models cannot compute; nothing was written.
        OSError: The folder cannot be written.
    """
    parent, content = read_model(job.parent)
    check_parent(parent, job.method)
    _check_held_out(job.data.held_out, job.gate)
    before = _parent_session(job.parent / parent.file, parent, content)
    made = _quantized(parent, content, job)
    after = _quantized_session(parent, made, job.method)
    report = measure_gate(before, after, job.data.held_out, job.gate)
    rows = job.data.calibration.observations
    speeds = measure(before.outputs, after.outputs, rows, job.timing)
    manifest = add_version(job.models, _manifest(parent, report, job), made)
    folder = job.models / manifest.name / str(manifest.version)
    return Outcome(parent, manifest, folder, len(content), len(made), report, *speeds)


def measure_gate(
    before: Session, after: Session, held_out: BarWindows, settings: GateSettings
) -> GateReport:
    """Return the report of the gate: both walk over the bars, and answer what the parent was asked on its way.

    Raises:
        EngineFailedError: One of them cannot compute.
    """
    observations, log_returns = held_out.observations, held_out.log_returns
    first = walk(before.probabilities, observations, log_returns)
    second = walk(after.probabilities, observations, log_returns)
    parent = answers(before.probabilities, observations, first.seen)
    child = answers(after.probabilities, observations, first.seen)
    return judge(compare(parent, child, first.seen), first, second, settings)


def _check_held_out(held_out: BarWindows, settings: GateSettings) -> None:
    if len(held_out) < settings.held_out_bars_min:
        raise CalibrationError(
            held_out.source,
            f"{len(held_out)} bars are held out",
            f"at least {settings.held_out_bars_min}: the gate could not tell",
        )


def _parent_session(path: Path, manifest: ModelManifest, content: bytes) -> Session:
    try:
        session = Session(manifest.key, content)
    except LoadFailedError as error:
        raise invalid_graph(str(path), str(error)) from error
    named = tuple(
        tuple(sorted(spec.name for spec in specs)) for specs in (manifest.inputs, manifest.outputs)
    )
    if session.names != named:
        raise invalid_graph(str(path), f"its tensors are {session.names}, its manifest's {named}")
    return session


def _quantized_session(parent: ModelManifest, made: bytes, method: Method) -> Session:
    try:
        return Session(f"{parent.key} as {method}", made)
    except LoadFailedError as error:
        raise QuantizationFailedError(parent.key, method, str(error)) from error


def _quantized(parent: ModelManifest, content: bytes, job: Job) -> bytes:
    method = job.method
    try:
        if method is Method.INT8_STATIC:
            return int8_static(content, job.data.calibration)
        if method is Method.INT8_DYNAMIC:
            return int8_dynamic(content)
        return int4_weights(content)
    except EngineMissingError:
        raise
    except NothingToQuantizeError as error:
        remedy = "export it with MatMul and Add in place of Gemm, or choose int8-static"
        raise NotQuantizableError(parent.key, method, str(error), remedy) from error
    except Exception as error:
        raise QuantizationFailedError(parent.key, method, str(error)) from error


def _manifest(parent: ModelManifest, report: GateReport, job: Job) -> ModelManifest:
    calibration, held_out = job.data.calibration, job.data.held_out
    metadata = {
        PARENT: {"key": parent.key, "sha256": parent.sha256, "metadata": parent.metadata},
        QUANTIZATION: {
            "method": job.method.value,
            "seed": calibration.seed,
            "calibration_source": calibration.source,
            "calibration_rows": len(calibration.observations),
            "calibration_sha256": calibration.data_sha256,
            "onnxruntime": _version("onnxruntime"),
        },
        GATE: {
            **report.to_metadata(),
            "held_out_source": held_out.source,
            "held_out_sha256": held_out.sha256,
        },
    }
    return replace(parent, quantization=job.method.value, metadata=metadata)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
