import numpy as np
import pytest

from bellwire.agents.strategic import initial_strategic_weights
from bellwire.agents.strategic.storage import load_strategic_weights, save_strategic_weights
from bellwire.agents.tactical.networks import (
    InvalidWeightsError,
    Variant,
    initial_weights,
    load_weights,
    save_weights,
)


def test_what_is_read_is_what_was_written_and_equal_weights_give_equal_bytes(tmp_path):
    weights = initial_strategic_weights(3)
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    for path in (one, two):
        save_strategic_weights(path, weights)
    assert one.read_bytes() == two.read_bytes()
    found = load_strategic_weights(one)
    for name, layers in {**weights.actors, "critic": weights.critic}.items():
        for given, read in zip(layers, getattr(found, name), strict=True):
            assert np.array_equal(given.weight, read.weight)
            assert np.array_equal(given.bias, read.bias)


def test_neither_system_takes_the_others_weights(tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(path, initial_weights(Variant.TINY, 0))
    with pytest.raises(InvalidWeightsError, match="of variant tiny, expected mlmi 4-64-3"):
        load_strategic_weights(path)
    save_strategic_weights(path, initial_strategic_weights(0))
    with pytest.raises(InvalidWeightsError, match=r"mlmi 4-64-3.* is not a valid Variant"):
        load_weights(path)


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(InvalidWeightsError, match="unreadable"):
        load_strategic_weights(path)
