"""Whether a model may be served."""

import pytest

from bellwire.agents.inference import GateFailedError, ModelManifest, TensorSpec, check_gate
from bellwire.agents.inference.gate import Parent, parent_of
from bellwire.wire.errors import StatusCode

SPECS = (TensorSpec("x", "FP32", (1,)),)


def manifest(quantization="none", **metadata):
    return ModelManifest(
        "tactical", 3, "onnx", "m.onnx", "0" * 64, SPECS, SPECS, quantization, metadata=metadata
    )


def test_full_precision_needs_no_gate():
    check_gate(manifest())


def test_what_passed_its_gate_may_be_served():
    check_gate(manifest("int8-static", gate={"passed": True, "reasons": []}))


def test_what_failed_its_gate_is_refused_with_the_reasons_and_a_way_out():
    gate = {"passed": False, "reasons": ["entry agrees on 93 %", "it earns less"]}
    with pytest.raises(GateFailedError) as caught:
        check_gate(manifest("int4-weights", gate=gate, parent={"key": "tactical:1"}))
    assert caught.value.message == (
        "model 'tactical:3' must not be served: entry agrees on 93 %; it earns less; "
        "serve tactical:1, or quantize it another way"
    )
    assert (caught.value.reason, caught.value.code) == (
        "MODEL_GATE_FAILED",
        StatusCode.FAILED_PRECONDITION,
    )


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"gate": None},
        {"gate": True},
        {"gate": {}},
        {"gate": {"passed": "true"}},
        {"gate": {"passed": 1}},
        {"gate": {"passed": False, "reasons": "text"}, "parent": "tactical:1"},
    ],
)
def test_a_quantized_model_without_a_clear_pass_is_refused(metadata):
    with pytest.raises(GateFailedError, match="must not be served: it"):
        check_gate(manifest("int8-static", **metadata))


def test_a_failed_gate_counts_whatever_the_manifest_calls_its_numbers():
    with pytest.raises(GateFailedError):
        check_gate(manifest("none", gate={"passed": False}))


def test_a_quantized_version_names_its_parent_and_knows_it_again():
    parent = parent_of(manifest(parent={"key": "tactical:3", "sha256": "0" * 64}))
    assert parent == Parent("tactical", 3, "0" * 64)
    assert parent.is_still(manifest())
    assert not Parent("tactical", 3, "1" * 64).is_still(manifest())
    assert not Parent("tactical", 2, "0" * 64).is_still(manifest())


@pytest.mark.parametrize(
    "given",
    [
        None,
        "tactical:1",
        {},
        {"key": "tactical:1"},
        {"key": 7, "sha256": "0"},
        {"key": "tactical", "sha256": "0"},
        {"key": "tactical:x", "sha256": "0"},
        {"key": "../up:1", "sha256": "0"},
        {"key": "tactical:" + "9" * 5_000, "sha256": "0"},
    ],
)
def test_what_names_no_version_is_no_parent(given):
    assert parent_of(manifest(parent=given)) is None
