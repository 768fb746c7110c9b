"""From a model's folder to a quantized version with the report of its gate."""

from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bellwire.agents.inference.engine import Engine
from bellwire.agents.inference.engines.model_file import ModelFile, read_model_file
from bellwire.agents.inference.engines.onnx_engine import load_onnx
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.errors import EngineMissingError, InvalidModelError
from bellwire.agents.inference.gate import GATE, PARENT
from bellwire.agents.inference.model import ModelManifest, read_manifest
from bellwire.agents.inference.repository import publish_version
from bellwire.agents.quantize.agreement import answers, compare
from bellwire.agents.quantize.calibration import Data
from bellwire.agents.quantize.contract import check_parent, policy_in
from bellwire.agents.quantize.errors import (
    CalibrationError,
    NotQuantizableError,
    QuantizationFailedError,
)
from bellwire.agents.quantize.gate import GateReport, judge
from bellwire.agents.quantize.graph import package
from bellwire.agents.quantize.int4 import NothingToQuantizeError, int4_weights
from bellwire.agents.quantize.int8 import int8_dynamic, int8_static
from bellwire.agents.quantize.method import Method
from bellwire.agents.quantize.settings import GateSettings
from bellwire.agents.quantize.timing import Speed, TimingSettings, measure
from bellwire.agents.train.evaluate import evaluate
from bellwire.agents.train.policy import Policy

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
    parent = read_manifest(job.parent)
    file = read_model_file(job.parent, parent)
    check_parent(parent, job.method)
    _check_held_out(job.data, job.gate)
    package("onnxruntime")  # the engine would name the extra of those that serve
    before = policy_in(load_onnx(parent, file, EngineSettings()))
    made = _quantized(parent, file.content, job)
    after = policy_in(_quantized_engine(parent, ModelFile(file.path, made), job.method))
    report = measure_gate(before, after, job.data, job.gate)
    speeds = measure(before, after, job.data.calibration.observations, job.timing)
    manifest = publish_version(job.models, _manifest(parent, report, job), made)
    folder = job.models / manifest.name / str(manifest.version)
    return Outcome(parent, manifest, folder, len(file.content), len(made), report, *speeds)


def measure_gate(before: Policy, after: Policy, data: Data, settings: GateSettings) -> GateReport:
    """Return the report of the gate: both walk over the bars, and answer what the parent was asked on its way.

    Raises:
        EngineFailedError: One of them cannot compute.
    """
    tape, bars = data.tape, data.held_out
    first, second = evaluate(before, tape, bars), evaluate(after, tape, bars)
    parent = answers(before, tape, bars, first.seen)
    child = answers(after, tape, bars, first.seen)
    return judge(compare(parent, child, first.seen), first, second, settings)


def _check_held_out(data: Data, settings: GateSettings) -> None:
    if len(data.held_out) < settings.held_out_bars_min:
        raise CalibrationError(
            data.tape.bars.source,
            f"{len(data.held_out)} bars are held out",
            f"at least {settings.held_out_bars_min}: the gate could not tell",
        )


def _quantized_engine(parent: ModelManifest, made: ModelFile, method: Method) -> Engine:
    named = replace(parent, name=f"{method} of {parent.name}")  # for errors: it has no number yet
    try:
        return load_onnx(named, made, EngineSettings())
    except InvalidModelError as error:
        raise QuantizationFailedError(parent.key, method, error.found) from error


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
    calibration, held_out = job.data.calibration, job.data.tape.bars
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
