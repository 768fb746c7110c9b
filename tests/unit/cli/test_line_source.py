"""bellwire.cli.line_source: every line of a stream, once, however it is cut."""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.cli.faults import CommandError
from bellwire.cli.line_source import LINE_BYTES_MAX, LineSplitter, line_groups


@given(st.lists(st.binary(max_size=20)))
def test_however_a_stream_is_cut_its_lines_are_the_same(parts):
    splitter = LineSplitter()
    lines = [line for part in parts for line in splitter.feed(part)] + splitter.close()
    whole = b"".join(parts)
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    tail_open = not whole.endswith(b"\n")
    wanted = [
        line.removesuffix(b"\r") if not (tail_open and i == len(expected) - 1) else line
        for i, line in enumerate(expected)
    ]
    assert lines == wanted


def test_a_line_longer_than_a_message_is_refused():
    splitter = LineSplitter()
    splitter.feed(b"x" * LINE_BYTES_MAX)
    with pytest.raises(CommandError, match="longer than 1048576 bytes"):
        splitter.feed(b"x")


async def test_lines_of_a_pipe_arrive_as_they_are_written():
    reading, writing = os.pipe()
    try:
        os.write(writing, b"one\ntwo\n")
        groups = line_groups(reading)
        assert await asyncio.wait_for(anext(groups), 5) == [b"one", b"two"]
        os.write(writing, b"three")
        os.close(writing)
        assert await asyncio.wait_for(anext(groups), 5) == [b"three"]
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(groups), 5)
    finally:
        os.close(reading)
