"""Weights in blocks of 4 bits."""

import numpy as np

from bellwire.agents.quantize.nibbles import pack


def test_a_block_computed_by_hand_is_packed_so():
    weights = np.zeros((16, 1), np.float32)
    weights[:4, 0] = (-4.0, 2.0, 0.5, 3.9)  # scale 0.5: -8, 4, 1 and 7.8, of which 7 is left
    packed = pack(weights, 16)
    assert packed.scales.tolist() == [[0.5]]
    assert packed.packed[0, 0].tolist() == [0xC0, 0xF9, *[0x88] * 6]
    assert packed.unpacked()[:4, 0].tolist() == [-4.0, 2.0, 0.5, 3.5]


def test_a_block_of_zeros_stays_one():
    packed = pack(np.zeros((32, 2), np.float32), 16)
    assert not packed.unpacked().any()
    assert np.isfinite(packed.scales).all()


def test_rows_beyond_the_last_whole_block_are_padded_and_cut_off_again():
    packed = pack(np.ones((21, 3), np.float32), 16)
    assert packed.packed.shape == (3, 2, 8)
    assert packed.unpacked().shape == (21, 3)
    assert (packed.unpacked() == 1.0).all()
