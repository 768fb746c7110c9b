"""bellwire.cli.train and training: what is refused, and how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from bellwire.cli.faults import UsageFault
from bellwire.cli.main import run
from bellwire.cli.train_view import TrainProgress
from bellwire.cli.training import Place, StopRequest, claimed, place_of

BLOCKED = """
import sys
sys.modules["torch"] = None
from bellwire.cli.main import run
sys.exit(run(["train", "tactical", "--out", sys.argv[1], "--data", "absent.csv"]))
"""


def test_without_torch_it_names_the_extra_before_it_reads_or_writes_anything(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: this verb needs package 'torch': pip install 'bellwire[train]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    with StopRequest() as stop:
        made = [stop.is_made]
        os.kill(os.getpid(), signal.SIGINT)
        made.append(stop.is_made)
        assert made == [False, True]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_means_afterwards_what_it_meant_before():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_folder_of_models_gives_the_next_version_and_begins_with_1(tmp_path):
    models = tmp_path / "models"
    assert place_of(None, models, resume=False) == Place(models / "tactical" / "1", 1, True)
    for name in ("1", "7", "08", "notes"):
        (models / "tactical" / name).mkdir(parents=True)
    assert place_of(None, models, resume=False) == Place(models / "tactical" / "8", 8, True)


@pytest.mark.parametrize(
    ("name", "version"), [("3", 3), ("mine", 1), ("07", 1), ("٣", 1), ("9" * 30, 1)]
)
def test_a_folder_named_as_a_number_is_that_version(tmp_path, name, version):
    out = tmp_path / name
    assert place_of(out, None, resume=True) == Place(out, version)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either --out or --models"),
        (("--out", "a", "--models", "b"), "give either --out or --models"),
        (("--models", "b", "--resume"), "name the one to resume with --out"),
        (("--out", "a", "--symbol", "IBM"), "name it with --from-store"),
        (("--out", "a", "--topic", "bars.5m"), "name it with --from-store"),
        (
            ("--out", "a", "--set", "train.clip=2"),
            "--set: train.clip is '2'; expected float > 0, ≤ 1",
        ),
        (("--out", "a", "--set", "train.lr=2"), "--set: unknown key train.lr"),
        (("--out", "a", "--data", "x.csv", "--from-store", "s"), "are both given; choose one"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(arguments, said, capsys):
    assert run(["train", "tactical", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (16_384, "train: going on from step 16,384 of 20,000\n"),
        (
            24_576,
            "train: the checkpoint has 24,576 steps, 20,000 were asked for: nothing is left to train; "
            "test and card are made anew\n",
        ),
    ],
)
def test_who_goes_on_is_told_from_where(step, said, capsys):
    with TrainProgress(20_000, 1) as progress:
        progress.resumed(1, step)
    assert capsys.readouterr().err == said


def test_a_folder_of_models_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "tactical").write_text("no folder")
    with pytest.raises(UsageFault, match="Not a directory"):
        place_of(None, tmp_path, resume=False)


def test_of_two_trainings_that_took_the_same_number_the_second_is_told(tmp_path):
    first = second = place_of(None, tmp_path, resume=False)
    with claimed(first):
        assert first.folder.is_dir()
        with pytest.raises(UsageFault, match="was taken meanwhile"), claimed(second):
            pass
        assert first.folder.is_dir()


def fail_to_train(place, written):
    with claimed(place):
        if written:
            (place.folder / "checkpoint-1.npz").write_bytes(b"")
        raise RuntimeError("no bars")


@pytest.mark.parametrize("written", [True, False])
def test_a_training_that_fails_gives_its_number_back_unless_it_left_something(tmp_path, written):
    place = place_of(None, tmp_path, resume=False)
    with pytest.raises(RuntimeError, match="no bars"):
        fail_to_train(place, written)
    assert place.folder.exists() == written


def test_a_folder_that_was_named_is_not_claimed(tmp_path):
    with claimed(Place(tmp_path / "mine")):
        assert not (tmp_path / "mine").exists()
