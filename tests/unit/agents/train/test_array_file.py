"""bellwire.agents.train.array_file: arrays, or one error that says what was found."""

import zipfile

import numpy as np
import pytest

from bellwire.agents.train.array_file import ALONE, UnreadableArraysError, read_arrays

BYTES_MAX = 100_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "arrays.npz"


def refused(path):
    with pytest.raises(UnreadableArraysError) as caught:
        read_arrays(path, bytes_max=BYTES_MAX)
    return str(caught.value)


def test_all_or_the_named_arrays_are_read(path):
    np.savez_compressed(path, a=np.arange(3), b=np.eye(2))
    assert set(read_arrays(path, bytes_max=BYTES_MAX)) == {"a", "b"}
    (found,) = read_arrays(path, bytes_max=BYTES_MAX, names=("b", "c")).values()
    assert np.array_equal(found, np.eye(2))


def test_the_array_of_an_npy_stands_alone(tmp_path):
    np.save(tmp_path / "one.npy", np.arange(3))
    (name,) = read_arrays(tmp_path / "one.npy", bytes_max=BYTES_MAX)
    assert name == ALONE


def test_what_would_unpack_to_more_than_the_limit_is_refused_before_it_does(path):
    np.savez_compressed(path, a=np.zeros(BYTES_MAX, np.uint8))
    assert path.stat().st_size < BYTES_MAX // 100
    assert refused(path) == "too large: 100128 bytes unpacked, limit is 100000"


def test_members_count_together(path):
    half = np.zeros(BYTES_MAX // 2, np.uint8)
    np.savez_compressed(path, a=half, b=half)
    assert "bytes unpacked, limit is" in refused(path)


def test_a_file_larger_than_the_limit_is_not_opened(path):
    path.write_bytes(bytes(BYTES_MAX + 1))
    assert refused(path) == "too large: 100001 bytes on disk, limit is 100000"


@pytest.mark.parametrize("store", [np.savez, np.savez_compressed])
def test_damage_of_any_byte_is_this_error_or_none(path, store):
    store(path, a=np.arange(40, dtype=np.int64), b=np.array("text"))
    whole = path.read_bytes()
    refusals = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_arrays(path, bytes_max=BYTES_MAX)
        except UnreadableArraysError:
            refusals += 1
    assert refusals > len(whole) // 2


def test_a_member_of_an_impossible_shape_is_refused(path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", member)
    assert refused(path)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_file_cut_short_is_refused(path, size):
    np.savez(path, a=np.arange(40))
    path.write_bytes(path.read_bytes()[:size])
    assert refused(path)


def test_an_absent_file_and_objects_are_refused(path):
    assert refused(path) == "No such file or directory"
    np.savez(path, a=np.array([object()], object))
    assert "allow_pickle" in refused(path)
