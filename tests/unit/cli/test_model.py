"""`bellwire model`: what it prints, for people and machines, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from bellwire.agents.inference import ModelManifest, TensorSpec, read_manifest
from bellwire.cli.main import run
from bellwire.cli.model_trial import try_version

INPUTS = (TensorSpec("observation", "FP32", (420,)), TensorSpec("position", "FP32", (1,)))
OUTPUTS = (TensorSpec("probabilities", "FP32", (3, 3)),)


def graph_bytes() -> bytes:
    """One product and three softmaxes: the least that is a tactical model."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = random.normal(0, 0.3, (421, 9)).astype("f4")
    nodes = [
        helper.make_node("Concat", ["observation", "position"], ["inputs"], axis=1),
        helper.make_node("MatMul", ["inputs", "weights"], ["logits"]),
        helper.make_node("Reshape", ["logits", "shape"], ["table"]),
        helper.make_node("Softmax", ["table"], ["probabilities"], axis=-1),
    ]
    described = [
        helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, ["batch", *spec.shape])
        for spec in (*INPUTS, *OUTPUTS)
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([-1, 3, 3]), "shape"),
    ]
    graph = helper.make_graph(nodes, "g", described[:2], described[2:], initializer=constants)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.fixture
def models(tmp_path):
    content = graph_bytes()
    folder = tmp_path / "models" / "tactical" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    manifest = ModelManifest(
        "tactical", 1, "onnx", "model.onnx", sha256(content).hexdigest(), INPUTS, OUTPUTS
    )
    (folder / "model.json").write_text(manifest.to_json())
    return folder.parent.parent


def quantize(models, *arguments):
    parent = str(models / "tactical" / "1")
    words = ("-c", "eurusd-1h", "-o", str(models), *arguments)
    return run(["model", "quantize", parent, *words])


def test_quantizing_prints_both_models_side_by_side(models, capsys):
    assert quantize(models, "-m", "int8-dynamic") == 0
    out = capsys.readouterr().out
    for label in ("bytes", "return, fee 0.2 bp", "p50 at batch 1", "obs/s at batch 64"):
        assert label in out
    for label in ("obs/s at batch 256", "agreement, decision", "prob. difference, max"):
        assert label in out
    assert "tactical:1" in out
    assert "gate passed: tactical:2 in" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80


def test_the_copy_is_watched_for_drift_as_its_parent_is(models):
    assert quantize(models, "-m", "int8-dynamic") == 0
    assert not (models / "tactical" / "2" / "drift.json").exists()
    (models / "tactical" / "1" / "drift.json").write_text("the parent's")
    assert quantize(models, "-m", "int8-dynamic") == 0
    assert (models / "tactical" / "3" / "drift.json").read_text() == "the parent's"


def test_a_failed_gate_ends_with_1_and_its_reason(models, capsys):
    assert quantize(models, "-m", "int4-weights") == 1
    printed = capsys.readouterr()
    assert "gate failed: tactical:2" in printed.out
    assert "is kept, and never served" in printed.out
    assert "agrees with the parent on" in printed.out
    assert printed.err == ""


def test_json_has_every_figure_of_the_table(models, capsys):
    assert quantize(models, "-m", "int8-static", "--json", "--fee-bp", "1.5", "--seed", "7") == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["parent"], values["model"]) == ("tactical:1", "tactical:2")
    assert values["ratio"] == values["bytes_before"] / values["bytes_after"] > 1.0
    assert values["gate"]["passed"] is True
    assert values["gate"]["settings"]["fee_bp"] == 1.5
    assert set(values["gate"]["agreement"]) == {"fvg", "momentum", "entry", "decision"}
    for speed in (values["speed_before"], values["speed_after"]):
        assert min(speed.values()) > 0
        assert set(speed) == {"one_us_p50", "per_second_64", "per_second_256"}
    assert run(["model", "show", values["folder"], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["metadata"]["quantization"]["seed"] == 7
    assert shown["servable"] is True
    assert shown["bytes"] == values["bytes_after"]


def test_list_tells_what_may_be_served_and_what_is_damaged(models, capsys):
    quantize(models, "-m", "int4-weights")
    (models / "tactical" / "3").mkdir()
    (models / ".hidden").mkdir()
    capsys.readouterr()
    assert run(["model", "list", str(models), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["servable"] for line in lines] == [True, False, False]
    assert "agrees with the parent" in lines[1]["problem"]
    assert "No such file" in lines[2]["problem"]
    assert run(["model", "list", str(models)]) == 0
    assert "may be served" in capsys.readouterr().out


def test_a_file_that_the_runtime_cannot_parse_may_not_be_served(models, capsys, monkeypatch):
    path = models / "tactical" / "1" / "model.json"
    content = b"no graph at all"
    path.with_name("model.onnx").write_bytes(content)
    values = json.loads(path.read_text()) | {"sha256": sha256(content).hexdigest()}
    path.write_text(json.dumps(values))
    monkeypatch.chdir(models.parent)  # `models` is where the verb looks, as `serve` does.
    assert run(["model", "list", "--json"]) == 0
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["servable"], line["untried"]) == (False, "")
    assert "expected an ONNX model" in line["problem"]
    assert run(["model", "show", str(path.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["servable"] is False


def test_what_takes_long_to_load_is_not_loaded_for_a_look(models, capsys, monkeypatch):
    path = models / "tactical" / "1" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"engine": "torch"}))
    assert run(["model", "list", str(models), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["servable"], line["problem"]) == (True, "")
    assert line["untried"] == "engine torch takes long"
    assert run(["model", "list", str(models)]) == 0
    assert "not tried: engine torch" in capsys.readouterr().out
    without_gate = {"engine": "torch", "quantization": "int8-static"}
    path.write_text(json.dumps(json.loads(path.read_text()) | without_gate))
    assert try_version(path.parent, read_manifest(path.parent)).problem


def test_a_large_file_is_not_loaded_for_a_look(models):
    folder = models / "tactical" / "1"
    trial = try_version(folder, read_manifest(folder), quick_bytes_max=1_000)
    assert trial.verdict.startswith("not tried: ")
    assert try_version(folder, read_manifest(folder)).verdict == "yes"


def test_show_prints_tensors_origin_and_gate(models, capsys):
    quantize(models, "-m", "int4-weights")
    capsys.readouterr()
    assert run(["model", "show", str(models / "tactical" / "2")]) == 0
    out = capsys.readouterr().out
    for part in ("tactical:2", "int4-weights", "(batch, 420)", "parent key", "gate passed", "no: "):
        assert part in out


def test_the_gate_charges_and_holds_out_what_the_parents_training_says(models, capsys):
    path = models / "tactical" / "1" / "model.json"
    values = json.loads(path.read_text())
    split = {"test_share": 0.3, "folds": 5, "embargo_bars": 80}
    values["metadata"] = {"fee_bp": 0.7, "split": split}
    path.write_text(json.dumps(values))
    assert quantize(models, "-m", "int8-dynamic", "--json") == 0
    gate = json.loads(capsys.readouterr().out)["gate"]
    assert gate["settings"]["fee_bp"] == 0.7
    assert gate["bars"] == 1_843 // 5, "of five folds the last, which alone was not trained on"


def test_the_settings_file_says_how_far_a_copy_may_be_and_flags_go_before_it(
    models, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    text = "[gate]\nagreement_min = 1.0\nfee_bp = 0.4\n[quantize]\nrows = 128\nseed = 3\n"
    (tmp_path / "bellwire.toml").write_text(text)
    quantize(models, "-m", "int8-static", "--json", "--set", "gate.return_loss_max=0.5")
    values = json.loads(capsys.readouterr().out)
    allowed = values["gate"]["settings"]
    assert (allowed["agreement_min"], allowed["return_loss_max"]) == (1.0, 0.5)
    assert allowed["fee_bp"] == 0.4, (
        "what the file says goes before what the parent was trained to pay"
    )
    assert run(["model", "show", values["folder"], "--json"]) in (0, 1)
    made = json.loads(capsys.readouterr().out)["metadata"]["quantization"]
    assert (made["seed"], made["calibration_rows"]) == (3, 128)


def test_a_manifest_that_tells_an_impossible_training_is_one_line_and_exit_code_2(models, capsys):
    path = models / "tactical" / "1" / "model.json"
    values = json.loads(path.read_text())
    values["metadata"] = {"fee_bp": "none"}
    path.write_text(json.dumps(values))
    assert quantize(models, "-m", "int8-dynamic") == 2
    printed = capsys.readouterr()
    assert "metadata: GateSettings.fee_bp is 'none'" in printed.err
    assert printed.err.count("\n") == 1


def test_an_empty_folder_has_no_models_and_a_missing_one_is_a_mistake(tmp_path, capsys):
    assert run(["model", "list", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no models yet\n"
    assert run(["model", "list", str(tmp_path / "absent")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("-m", "int2"), "error: method 'int2' is unknown; choose int8-static, int8-dynamic, int4"),
        (("-m", "int8-static", "-c", "nowhere.csv"), "error: data 'nowhere.csv' is no file; give "),
        (("-m", "int8-static", "--fee-bp", "9999"), "error: --fee-bp: gate.fee_bp is 9999.0; exp"),
        (("-m", "int8-static", "--set", "gate.x=1"), "error: --set: unknown key gate.x; "),
        (("-m", "int8-static", "--held-out", "eurusd-1h"), "error: data 'eurusd-1h': the bars ca"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(models, capsys, arguments, line):
    assert quantize(models, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_corrupt_model_is_one_line_and_exit_code_2(models, capsys):
    folder = models / "tactical" / "1"
    (folder / "model.onnx").write_bytes(b"other")
    assert quantize(models, "-m", "int8-static") == 2
    assert "sha256" in capsys.readouterr().err
    assert run(["model", "show", str(folder)]) == 2
    assert "sha256" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(models, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert quantize(models, "-m", "int8-dynamic", "-o", str(tmp_path / "file")) == 2
    assert f"error: --out {tmp_path / 'file'}: " in capsys.readouterr().err


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_names_the_extra(models, package):
    arguments = ["model", "quantize", str(models / "tactical" / "1"), "-m", "int8-static"]
    arguments += ["-c", "eurusd-1h", "-o", str(models)]
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from bellwire.cli.main import run\n"
        f"sys.exit(run({arguments!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: engine 'quantize' needs the package {package}; pip install 'bellwire[models]'\n"
    )


def test_show_and_list_need_neither_onnx_nor_a_runtime(models):
    program = (
        "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None\n"
        "from bellwire.cli.main import run\n"
        f"sys.exit(run(['model', 'list', {str(models)!r}])"
        f" or run(['model', 'show', {str(models / 'tactical' / '1')!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
