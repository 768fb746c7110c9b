"""Tensors as bytes: views on the way in, one copy on the way out, bounds before anything is allocated."""

import numpy as np
import pytest

from bellwire.agents.inference import DTYPES, InvalidTensorError
from bellwire.agents.inference.tensor import TENSOR_BYTES_MAX
from bellwire.agents.inference.tensor_bytes import array_of, bytes_of


def test_bytes_become_an_array_without_a_copy_and_cannot_be_written_to() -> None:
    data = np.arange(6, dtype="<f4").tobytes()
    array = array_of("x", "FP32", [2, 3], data)
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not array.flags.owndata
    assert not array.flags.writeable


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_every_dtype_comes_back_as_it_went(dtype: str) -> None:
    array = np.ones((2, 1), DTYPES[dtype])
    name, data = bytes_of("x", array)
    assert name == dtype
    back = array_of("x", name, array.shape, data)
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


def test_an_array_that_is_big_endian_or_not_contiguous_goes_out_little_endian_and_row_major() -> (
    None
):
    array = np.arange(6, dtype=">i2").reshape(3, 2).T  # (2, 3)
    assert bytes_of("x", array) == ("INT16", np.array([0, 2, 4, 1, 3, 5], "<i2").tobytes())


@pytest.mark.parametrize(
    ("dtype", "shape", "size", "says"),
    [
        ("FP32", [2, 2], 12, "tensor 'x' is 12 bytes long, expected 16 bytes for FP32"),
        ("FP8", [1], 1, "of dtype 'FP8', expected BOOL"),
        ("FP32", [], 4, "of 0 dimensions, expected 1 to 8"),
        ("FP32", [1] * 9, 4, "of 9 dimensions"),
        ("FP32", [-1, -4], 16, "no size below 0"),
        ("UINT8", [2**11, 2**11], 1, "4194304 bytes long, expected at most 1048576"),
        ("UINT8", [2**40], 1, "of a size above 1048576, expected at most 1048576 bytes"),
        ("FP32", [0, 2**62, 2**62], 0, "of a size above 1048576"),
        ("FP32", [0, 2**19, 2**19], 0, "bytes long, expected at most"),
        ("FP32", [10**4_000, 10**4_000], 0, "of a size above 1048576"),
        ("FP32", [-(10**5_000)], 0, "no size below 0"),
    ],
)
def test_what_is_no_tensor_is_refused_by_its_name(dtype, shape, size, says) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        array_of("x", dtype, shape, bytes(size))
    assert says in caught.value.message
    assert caught.value.name == "x"


def test_a_bool_that_is_neither_0_nor_1_is_refused() -> None:
    with pytest.raises(InvalidTensorError, match="a BOOL of byte 2"):
        array_of("x", "BOOL", [3], b"\x00\x01\x02")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array(["a"]), "of dtype <U1"),
        (np.float32(1), "of 0 dimensions"),
        (np.zeros(TENSOR_BYTES_MAX + 1, "u1"), "of a size above 1048576"),
        (np.zeros((TENSOR_BYTES_MAX // 4, 5), "u1"), "1310720 bytes long"),
    ],
)
def test_what_cannot_travel_is_refused(array, says) -> None:
    with pytest.raises(InvalidTensorError, match=says):
        bytes_of("x", array)
