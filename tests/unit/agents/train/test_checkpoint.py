"""bellwire.agents.train.checkpoint: whole, or refused."""

import contextlib
import json

import numpy as np
import pytest

from bellwire.agents.train import checkpoint as module
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


def test_damage_of_any_byte_is_refused_or_harmless(path, saved):
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(CheckpointError):
            load(path, ORIGIN)


def test_one_that_would_unpack_to_more_than_the_limit_is_refused(path, monkeypatch):
    np.savez_compressed(path, zeros=np.zeros(100_000, np.uint8))
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 50_000)
    with pytest.raises(CheckpointError, match=r"too large: 10\d+ bytes unpacked, limit is 50000"):
        load(path, ORIGIN)


@pytest.mark.parametrize("about", ['"text"', "[]", '{"step": "1"}', "[" * 100_000])
def test_one_that_speaks_of_something_else_is_refused(path, about):
    np.savez(path, about=np.array(about))
    with pytest.raises(CheckpointError, match="unreadable"):
        load(path, ORIGIN)


@pytest.mark.parametrize(("name", "value"), [("step", "1"), ("origin", []), ("random", None)])
def test_fields_of_other_types_are_refused(path, name, value):
    about = {"step": 1, "seconds": 1.0, "random": {}, "origin": ORIGIN, name: value}
    np.savez(path, about=np.array(json.dumps(about)))
    with pytest.raises(CheckpointError, match="unreadable"):
        load(path, ORIGIN)


def test_an_absent_file_is_refused(path):
    with pytest.raises(CheckpointError, match=r"unreadable .*No such file"):
        load(path, ORIGIN)


def test_a_file_with_pickled_objects_is_refused(path):
    np.savez(path, about=np.array([object()], dtype=object))
    with pytest.raises(CheckpointError, match="unreadable"):
        load(path, ORIGIN)
