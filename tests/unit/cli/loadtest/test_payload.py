"""bellwire.cli.loadtest.payload: what stands behind the stamps."""

from __future__ import annotations

import pytest

from bellwire.cli.loadtest.payload import bodies
from bellwire.cli.loadtest.stamp import STAMP_BYTES


@pytest.mark.parametrize("size", [STAMP_BYTES, STAMP_BYTES + 1, 200, 4_096, 512 << 10])
def test_stamp_and_body_have_the_size_asked_for(size):
    found = bodies(size)
    assert {STAMP_BYTES + len(body) for body in found} == {size}


def test_no_body_comes_twice_within_the_largest_batch():
    found = bodies(200)
    assert len(set(found)) == len(found) >= 1_000
