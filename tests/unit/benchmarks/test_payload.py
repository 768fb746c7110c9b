"""The payload every peer carries."""

import gzip

import pytest
from tests.benchmarks.payload import BODIES, PAYLOAD_BYTES, PayloadMaker, read_bodies, read_stamp


def test_a_payload_is_200_bytes_and_gives_its_stamp_back():
    payload = PayloadMaker().make(7, 1_000, 1_250)
    assert len(payload) == PAYLOAD_BYTES == 200
    assert read_stamp(payload) == (7, 1_000, 1_250)


def test_payloads_made_at_once_equal_those_made_one_by_one():
    maker = PayloadMaker()
    one_by_one = [maker.make(sequence, 9, 9) for sequence in range(1_490, 1_510)]
    assert maker.make_many(1_490, 20, 9) == one_by_one


def test_no_body_comes_twice_within_a_batch():
    assert len(set(read_bodies())) == BODIES > 1_000


def test_too_little_data_for_the_bodies_is_refused(tmp_path):
    short = tmp_path / "short.csv.gz"
    short.write_bytes(gzip.compress(b"time,open\n2017-01-01,1.05\n"))
    with pytest.raises(ValueError, match="holds 16 bytes"):
        read_bodies(short)
