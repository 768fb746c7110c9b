"""From a model's folder to a quantized version with the report of its gate."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from bellwire.agents.inference import (
    EngineFailedError,
    EngineMissingError,
    GateFailedError,
    InvalidModelError,
    TensorSpec,
    check_gate,
    read_manifest,
)
from bellwire.agents.quantize import (
    CalibrationError,
    GateSettings,
    Job,
    Method,
    NotQuantizableError,
    TimingSettings,
    UnknownMethodError,
    quantize_model,
)

LENIENT = GateSettings(agreement_min=0.5, return_loss_max=1.0)
STRICT = GateSettings(agreement_min=1.0, return_loss_max=1.0)
QUICK = TimingSettings(rounds=1, rows_per_round=256)


@pytest.fixture
def job(put_parent, tmp_path, graph, data):
    """A job for the small network that any method passes."""
    return Job(put_parent(graph), tmp_path / "out", Method.INT8_STATIC, data, LENIENT, QUICK)


@pytest.mark.parametrize("method", list(Method))
def test_a_version_is_written_that_names_its_parent_data_and_seed(job, method):
    outcome = quantize_model(replace(job, method=method))
    written = read_manifest(outcome.folder)
    parent = read_manifest(job.parent)
    assert outcome.folder == job.models / "tactical" / "1"
    assert written == outcome.manifest
    assert written.quantization == method.value
    assert (written.inputs, written.outputs) == (parent.inputs, parent.outputs)
    assert sha256((outcome.folder / written.file).read_bytes()).hexdigest() == written.sha256
    assert written.metadata["parent"] == {
        "key": "tactical:1",
        "sha256": parent.sha256,
        "metadata": {"variant": "test"},
    }
    quantization = written.metadata["quantization"]
    assert quantization["calibration_sha256"] == job.data.calibration.data_sha256
    assert (quantization["method"], quantization["seed"]) == (method.value, 0)
    assert outcome.bytes_after < outcome.bytes_before
    check_gate(written)


def test_a_model_whose_gate_failed_is_written_and_refused(job):
    outcome = quantize_model(replace(job, method=Method.INT4_WEIGHTS, gate=STRICT))
    written = read_manifest(outcome.folder)
    assert not outcome.report.passed
    assert written.metadata["gate"]["passed"] is False
    with pytest.raises(GateFailedError) as caught:
        check_gate(written)
    assert caught.value.reasons == outcome.report.reasons
    assert caught.value.parent == "tactical:1"


def test_the_gate_sees_what_a_wrong_calibration_does(job, calibration):
    narrow = replace(calibration, observations=calibration.observations * np.float32(0.02))
    spoiled = replace(job.data, calibration=narrow)
    good = quantize_model(job).report
    bad = quantize_model(replace(job, data=spoiled, gate=GateSettings())).report
    assert min(good.agreement.shares.values()) > 0.9
    assert min(bad.agreement.shares.values()) < 0.9
    assert not bad.passed


def test_equal_jobs_make_equal_models(job):
    first, second = quantize_model(job).manifest, quantize_model(job).manifest
    assert (first.version, second.version) == (1, 2)
    assert replace(second, version=1) == first


def test_a_quantized_model_is_not_quantized_again(job):
    made = quantize_model(job)
    with pytest.raises(
        NotQuantizableError, match="it is int8-static already; quantize the model it"
    ):
        quantize_model(replace(job, parent=made.folder))


def test_four_bits_of_a_model_without_matmul_are_refused(job, put_parent, gemm_graph, tmp_path):
    folder = tmp_path / "gemm"
    job.parent.rename(folder)
    parent = put_parent(gemm_graph)
    with pytest.raises(NotQuantizableError, match="no MatMul with constant weights among Clip, "):
        quantize_model(replace(job, parent=parent, method=Method.INT4_WEIGHTS))
    assert not job.models.exists()


def test_a_corrupt_file_is_named(job, put_parent, tmp_path):
    job.parent.rename(tmp_path / "whole")
    parent = put_parent(b"\x08\x08garbage")
    with pytest.raises(
        InvalidModelError, match=r"model\.onnx.*expected an ONNX model with its wei"
    ):
        quantize_model(replace(job, parent=parent))
    assert not job.models.exists()


def test_a_graph_with_other_tensors_than_its_manifest_is_refused(job, put_parent, tmp_path, graph):
    job.parent.rename(tmp_path / "whole")
    specs = (TensorSpec("probabilities", "FP32", (3, 3)), TensorSpec("worth", "FP32", (1,)))
    with pytest.raises(InvalidModelError, match="worth"):
        quantize_model(replace(job, parent=put_parent(graph, outputs=specs)))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"engine": "torch"}, "its engine is 'torch'; export it to ONNX"),
        (
            {"inputs": (TensorSpec("observation", "FP32", (420,)),)},
            r"its inputs are observation FP32 \(batch, 420\)",
        ),
        (
            {"outputs": (TensorSpec("value", "FP32", (1,)),)},
            r"the gate knows .* to probabilities FP32 \(batch, 3, 3\)",
        ),
    ],
)
def test_a_model_that_the_gate_could_not_judge_is_refused(
    job, put_parent, tmp_path, graph, fields, found
):
    job.parent.rename(tmp_path / "tactical one")
    with pytest.raises(NotQuantizableError, match=found):
        quantize_model(replace(job, parent=put_parent(graph, **fields)))


def test_too_few_held_out_bars_are_refused_before_anything_is_done(job):
    few = replace(job.data, held_out=job.data.held_out[:50])
    gate = replace(LENIENT, held_out_bars_min=51)
    with pytest.raises(CalibrationError, match="50 bars are held out; expected at least 51"):
        quantize_model(replace(job, data=few, gate=gate))


def test_a_model_that_answers_no_numbers_is_not_written(job):
    tape = replace(job.data.tape, rows=np.full_like(job.data.tape.rows, np.nan))
    with pytest.raises(
        EngineFailedError, match="'tactical:1' failed: output 'probabilities' has NaN"
    ):
        quantize_model(replace(job, data=replace(job.data, tape=tape)))
    assert not job.models.exists()


@pytest.mark.parametrize("method", list(Method))
def test_without_onnx_the_extra_is_named(job, method, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        EngineMissingError, match=r"needs the package onnx; pip install 'bellwire\["
    ):
        quantize_model(replace(job, method=method))


def test_without_onnxruntime_the_extra_is_named(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineMissingError, match="needs the package onnxruntime; pip install"):
        quantize_model(job)


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(
        UnknownMethodError, match="'int2' is unknown; choose int8-static, int8-dynamic, int4-w"
    ):
        Method.named("int2")
    assert Method.named("int4-weights") is Method.INT4_WEIGHTS


def test_neither_the_gates_reader_nor_this_package_imports_what_quantizes():
    program = (
        "import sys, bellwire.agents.inference, bellwire.agents.quantize\n"
        "print(sorted({'onnx', 'onnxruntime', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[]\n"
