import numpy as np
import pytest
from tests.unit.agents.tactical.networks.conftest import draw_batch

from bellwire.agents.tactical.networks import (
    InvalidWeightsError,
    Variant,
    forward,
    initial_weights,
    load_conv_weights,
    load_weights,
    save_weights,
    storage,
)


def load(path, weights):
    return (load_conv_weights if weights.variant is Variant.CONV else load_weights)(path)


def test_weights_come_back_from_their_file(weights, tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, weights)
    again = load(path, weights)
    assert again.variant is weights.variant
    batch = draw_batch(3)
    for before, after in zip(
        forward(weights, batch.observation, batch.position),
        forward(again, batch.observation, batch.position),
        strict=True,
    ):
        assert (before == after).all()


def test_the_same_weights_give_the_same_bytes(weights, tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, weights)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_without_one_of_the_arrays_is_refused_by_name(weights, tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, weights)
    with np.load(path) as file:
        arrays = dict(file)
    gone = sorted(name for name in arrays if name.startswith("entry.") and "bias" not in name)[0]
    del arrays[gone]
    np.savez(path, **arrays)
    with pytest.raises(InvalidWeightsError, match=f"'{gone}' are absent"):
        load(path, weights)


def test_weights_of_another_variant_are_refused_by_its_name(weights, tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, weights)
    wrong = load_weights if weights.variant is Variant.CONV else load_conv_weights
    with pytest.raises(InvalidWeightsError, match=f"of variant {weights.variant}, expected"):
        wrong(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_archive_is_refused(content, tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(InvalidWeightsError, match="unreadable"):
        load_weights(path)


def test_pickled_objects_are_not_executed(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, variant=np.array([object()]))
    with pytest.raises(InvalidWeightsError, match="unreadable"):
        load_weights(path)


def test_an_absent_and_a_large_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InvalidWeightsError, match="unreadable"):
        load_weights(tmp_path / "nowhere.npz")
    monkeypatch.setattr(storage, "FILE_BYTES_MAX", 3)
    (tmp_path / "large.npz").write_bytes(b"1234")
    with pytest.raises(InvalidWeightsError, match="too large"):
        load_weights(tmp_path / "large.npz")


def test_an_archive_that_unpacks_to_much_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "FILE_BYTES_MAX", 100_000)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, variant=np.array("tiny"), zeros=np.zeros(1_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(InvalidWeightsError, match="unpacked"):
        load_weights(path)


@pytest.mark.parametrize("found", [np.array(1.0), np.array(["a"] * 421), np.zeros((421, 0))])
def test_an_array_that_is_no_matrix_of_numbers_is_refused(found, tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, initial_weights(Variant.TINY, 0))
    with np.load(path) as file:
        np.savez(path, **{**file, "fvg.hidden": found})
    with pytest.raises(InvalidWeightsError, match=r"hidden|output"):
        load_weights(path)
