"""Frames of the socket lane."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.transport.lane.frames import End, Kind, Splitter, encode
from bellwire.wire.errors import CallerError

LIMIT = 64
FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=LIMIT)), max_size=12)


@given(FRAMES, st.data())
def test_frames_come_out_as_they_went_in_however_the_bytes_arrive(frames, data) -> None:
    line = b"".join(encode(kind, body) for kind, body in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=8)))
    splitter, found = Splitter(LIMIT), []
    for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
        found += splitter.feed(line[start:stop])
    assert found == frames


@given(st.lists(st.sampled_from([1, 700, 1_024, 3_000, 20_000]), min_size=1, max_size=40))
def test_a_large_body_comes_out_as_it_went_in_whatever_pieces_it_comes_in(sizes) -> None:
    body, behind = bytes(range(256)) * 60, b"behind"
    line = encode(Kind.DATA, body) + encode(Kind.END, behind)
    splitter, found, start = Splitter(len(body)), [], 0
    for size in [*sizes, len(line)]:
        found += splitter.feed(line[start : start + size])
        start += size
    assert found == [(Kind.DATA, body), (Kind.END, behind)]


def test_a_body_that_dribbles_in_is_kept_in_one_object() -> None:
    splitter = Splitter(100_000)
    line = encode(Kind.DATA, bytes(100_000))
    tracemalloc.start()
    try:
        for start in range(0, len(line) - 2, 2):
            list(splitter.feed(line[start : start + 2]))
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * len(line)


def test_a_frame_above_the_limit_is_refused_before_it_has_arrived() -> None:
    with pytest.raises(CallerError, match="frame of 65 bytes, limit is 64"):
        list(Splitter(LIMIT).feed(encode(Kind.DATA, bytes(LIMIT + 1))[:5]))


def test_a_frame_without_a_kind_is_refused() -> None:
    with pytest.raises(CallerError, match="frame of -1 bytes"):
        list(Splitter(LIMIT).feed(bytes(5)))


@given(st.integers(0, 16), st.text(max_size=20), st.binary(max_size=20))
def test_an_end_comes_out_as_it_went_in(code: int, details: str, status: bytes) -> None:
    end = End(code, details, status)
    assert End.decode(end.encode()) == end


def test_an_end_that_is_too_short_is_refused() -> None:
    with pytest.raises(CallerError, match="END frame has 3 bytes, at least 5"):
        End.decode(b"abc")
