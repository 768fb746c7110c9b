"""bellwire.agents.train.checkpoint: whole, or refused."""

import numpy as np
import pytest

from bellwire.agents.train.checkpoint import Checkpoint, load, save
from bellwire.agents.train.errors import CheckpointError

ORIGIN = {"seed": 1, "fee_bp": 0.2, "bars of X": [79, 500]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.npz"


@pytest.fixture
def saved(path):
    random = np.random.default_rng(5).bit_generator.state  # integers of 128 bits
    found = Checkpoint(64, 1.5, {"actors.hidden": np.eye(3, dtype=np.float32)}, random, ORIGIN)
    save(path, found)
    return found


def test_what_was_saved_is_what_is_loaded(path, saved):
    found = load(path, {**ORIGIN, "bars of X": (79, 500)})
    assert (found.step, found.seconds, found.origin) == (64, 1.5, ORIGIN)
    assert found.random == saved.random
    assert list(found.arrays) == ["actors.hidden"]
    assert np.array_equal(found.arrays["actors.hidden"], saved.arrays["actors.hidden"])


def test_a_newer_one_takes_the_place_of_the_older(path, saved):
    save(path, Checkpoint(128, 3.0, saved.arrays, saved.random, ORIGIN))
    assert load(path, ORIGIN).step == 128
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing is left over"


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({**ORIGIN, "fee_bp": 1.0}, "begun with fee_bp 0.2, expected 1.0"),
        ({**ORIGIN, "data of Y": "abc"}, "begun with data of Y None, expected 'abc'"),
    ],
)
def test_that_of_another_training_is_refused_by_what_differs(path, saved, origin, words):
    with pytest.raises(CheckpointError, match=words):
        load(path, origin)


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_damaged_file_is_refused(path, saved, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="unreadable"):
        load(path, ORIGIN)


def test_an_absent_file_is_refused(path):
    with pytest.raises(CheckpointError, match=r"unreadable .*No such file"):
        load(path, ORIGIN)


def test_a_file_with_pickled_objects_is_refused(path):
    np.savez(path, about=np.array([object()], dtype=object))
    with pytest.raises(CheckpointError, match="unreadable"):
        load(path, ORIGIN)
