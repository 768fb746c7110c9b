"""bellwire.cli.rollout: steps on a folder of models, and what is said of those that cannot be."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from bellwire.agents.inference import ModelManifest, TensorSpec
from bellwire.agents.inference.engines import numpy_model
from bellwire.agents.inference.repository import publish_version
from bellwire.cli.app import run

WHY = ("-r", "because")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with three versions of one model."""
    layer = {"op": "dense", "weights": "w", "to": "y"}
    content = numpy_model([layer], {"w": np.zeros((1, 1), "<f4")})
    spec = (TensorSpec("x", "FP32", (1,)),)
    outputs = (TensorSpec("y", "FP32", (1,)),)
    manifest = ModelManifest("actor", 1, "numpy", "actor.npz", "0" * 64, spec, outputs)
    for _ in range(3):
        publish_version(tmp_path, manifest, content)
    return tmp_path


def replaced_file(folder: Path, content: bytes) -> None:
    """Publish another file in a version, its hash put right: what a server finds out when it loads it."""
    (folder / "actor.npz").write_bytes(content)
    change_manifest(folder, sha256=sha256(content).hexdigest())


def change_manifest(folder: Path, **values: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def step(models, capsys):
    """Runs a verb; returns exit code, stdout and stderr."""

    def call(verb: str, *arguments: str) -> tuple[int, str, str]:
        status = run(["model", "rollout", verb, *arguments, "--models", str(models)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_canary_is_started_moved_promoted_and_rolled_back(step):
    told = [
        step("start", "actor", "2", "--share", "0.1", *WHY),
        step("move", "actor", "--stage", "ab", "--share", "0.5", *WHY),
        step("promote", "actor", *WHY),
        step("rollback", "actor", *WHY),
    ]
    assert told == [
        (0, "actor: version 1 serves, 2 answers for 0.1 of the keys (CANARY)\n", ""),
        (0, "actor: version 1 serves, 2 answers for 0.5 of the keys (AB)\n", ""),
        (0, "actor: version 2 serves; a rollback leads to 1\n", ""),
        (0, "actor: version 1 serves\n", ""),
    ]
    lines = step("show", "actor")[1].splitlines()
    assert [line.split()[2] for line in lines[2:]] == ["START", "MOVE", "PROMOTE", "ROLLBACK"]


def test_the_version_before_the_candidate_serves_unless_another_is_named(step):
    assert step("start", "actor", "3", "--stage", "shadow", *WHY)[1] == (
        "actor: version 2 serves, 3 is its shadow\n"
    )


def test_another_version_in_service_can_be_named_for_a_first_step(step):
    assert step("start", "actor", "3", "--serving", "1", "--share", "1", *WHY)[1] == (
        "actor: version 1 serves, 3 answers for 1 of the keys (CANARY)\n"
    )


def test_a_pinned_version_serves_and_is_not_pinned_twice(step):
    assert step("pin", "actor", "1", *WHY)[:2] == (0, "actor: version 1 serves\n")
    status, _, err = step("pin", "actor", "2", *WHY)
    assert (status, "PIN is not possible" in err) == (1, True)
    shown = json.loads(step("show", "actor", "--json")[1])
    assert [each["step"] for each in shown["records"]] == ["PIN"]
    assert shown["records"][0]["author"] != ""


def test_without_a_rollout_show_says_what_serves(step):
    assert step("show", "actor")[:2] == (
        0,
        "actor: no rollout yet; the newest version that loads serves\n",
    )
    shown = json.loads(step("show", "actor", "--json")[1])
    assert shown == {"model": "actor", "stage": None, "versions": [1, 2, 3]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "ghost"), "has no model 'ghost'; there are: actor"),
        (("pin", "actor", "9", *WHY), "has no version 9; there are 1, 2, 3"),
        (("start", "actor", "9", *WHY), "has no version 9"),
        (("start", "actor", "2", "--serving", "8", *WHY), "has no version 8"),
        (("start", "actor", "1", "--share", "0.1", *WHY), "name the one in service with --serving"),
        (("start", "actor", "2", "--stage", "serving", *WHY), "expected shadow, canary or ab"),
        (("start", "actor", "2", "--share", "0.1", "-r", " "), "--reason is empty"),
        (("promote", "actor", *WHY), "has no rollout yet; begin with pin or start"),
        (("rollback", "actor", *WHY), "has no rollout yet"),
    ],
)
def test_what_the_command_line_cannot_ask_for_is_refused(step, arguments, words):
    status, out, err = step(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_step_that_is_not_possible_fails_and_changes_nothing(step):
    step("start", "actor", "2", "--stage", "shadow", *WHY)
    status, _, err = step("start", "actor", "3", "--stage", "shadow", *WHY)
    assert (status, "roll back or promote first" in err) == (1, True)
    status, _, err = step("move", "actor", "--stage", "canary", *WHY)
    assert (status, "share 0.0 of the keys" in err) == (1, True)
    assert step("show", "actor")[1].count("START") == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.json").unlink(), "No such file"),
        (lambda folder: (folder / "actor.npz").write_bytes(b"other"), "sha256"),
        (lambda folder: replaced_file(folder, b"no archive"), "actor.npz"),
        (lambda folder: change_manifest(folder, quantization="int8-static"), "gate"),
    ],
    ids=["no manifest", "another file", "no model", "no gate"],
)
def test_a_version_that_no_server_would_load_is_refused_and_nothing_changes(
    models, step, damage, words
):
    damage(models / "actor" / "2")
    for verb, *arguments in (("start", "2", "--stage", "shadow"), ("pin", "2")):
        status, out, err = step(verb, "actor", *arguments, *WHY)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "version 2 of 'actor' cannot be served" in err
        assert words in err
    assert "no rollout yet" in step("show", "actor")[1]


def test_a_candidate_that_was_damaged_meanwhile_is_not_promoted(models, step):
    step("start", "actor", "2", "--share", "0.1", *WHY)
    (models / "actor" / "2" / "actor.npz").write_bytes(b"other")
    status, out, err = step("promote", "actor", *WHY)
    assert (status, out) == (2, "")
    assert "cannot be served" in err
    assert json.loads(step("show", "actor", "--json")[1])["stage"] == "CANARY"
    assert step("rollback", "actor", *WHY)[0] == 0


def test_a_version_whose_engine_is_not_installed_here_is_taken_with_a_warning(
    models, step, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    change_manifest(models / "actor" / "2", engine="onnx")
    status, _, err = step("start", "actor", "2", "--stage", "shadow", *WHY)
    assert status == 0
    assert err.startswith("warning: version 2 was not tried: engine 'onnx' needs onnxruntime")


def test_without_stage_and_share_a_candidate_is_looked_at_as_a_shadow(step):
    assert step("start", "actor", "2", *WHY)[:2] == (
        0,
        "actor: version 1 serves, 2 is its shadow\n",
    )


def test_version_in_service_that_no_server_would_load_is_not_named_for_a_first_step(models, step):
    (models / "actor" / "1" / "actor.npz").write_bytes(b"other")
    status, out, err = step("start", "actor", "3", "--serving", "1", *WHY)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "version 1 of 'actor' cannot be served" in err
    assert "no rollout yet" in step("show", "actor")[1]


def test_newest_version_below_the_candidate_that_loads_serves_from_a_first_step_on(models, step):
    (models / "actor" / "2" / "actor.npz").write_bytes(b"other")
    assert step("start", "actor", "3", *WHY)[1] == "actor: version 1 serves, 3 is its shadow\n"


def test_first_step_is_refused_where_nothing_below_the_candidate_loads(models, step):
    for version in "12":
        (models / "actor" / version / "actor.npz").write_bytes(b"other")
    status, out, err = step("start", "actor", "3", *WHY)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "no version of 'actor' below 3 can be served: 2 (" in err
    assert "no rollout yet" in step("show", "actor")[1]


def test_rollback_to_a_version_that_does_not_load_is_refused(models, step):
    step("start", "actor", "2", *WHY)
    step("promote", "actor", *WHY)
    (models / "actor" / "1" / "actor.npz").write_bytes(b"other")
    status, out, err = step("rollback", "actor", *WHY)
    assert (status, out) == (2, "")
    assert "version 1 of 'actor' cannot be served" in err
    assert json.loads(step("show", "actor", "--json")[1])["serving"] == 2


def test_candidate_is_dropped_with_a_warning_where_what_serves_then_does_not_load(models, step):
    step("start", "actor", "2", *WHY)
    (models / "actor" / "1" / "actor.npz").write_bytes(b"other")
    status, out, err = step("rollback", "actor", *WHY)
    assert (status, out) == (0, "actor: version 1 serves\n")
    assert err.startswith("warning: version 1 serves from now on and does not load: ")
