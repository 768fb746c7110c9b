"""The READY handshake."""

import asyncio
import os
from pathlib import Path

import pytest

from bellwire.runtime.ready import (
    READY_FD_VARIABLE,
    ReadyFile,
    ReadyPipe,
    announce_failed,
    announce_ready,
)


@pytest.fixture
def pipe():
    made = ReadyPipe()
    yield made
    made.close()


async def test_announcement_reaches_the_parent_with_its_details(
    pipe: ReadyPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = pipe.child_fds
    monkeypatch.setenv(READY_FD_VARIABLE, str(os.dup(number)))
    pipe.spawned()
    waiting = asyncio.create_task(pipe.wait())
    assert announce_ready({"addresses": ["unix:///x"]}) is True
    assert await waiting == {"addresses": ["unix:///x"]}
    assert announce_ready() is False


@pytest.mark.parametrize(
    ("line", "details"),
    [(b"READY\n", {}), (b"READY 7\n", {}), (b"READY {\n", {}), (b'READY {"a": 1}\n', {"a": 1})],
)
async def test_word_counts_whatever_follows_it(
    pipe: ReadyPipe, line: bytes, details: dict[str, object]
) -> None:
    os.write(pipe.child_fds[0], line)
    assert await pipe.wait() == details


async def test_line_in_two_parts_is_one_line(pipe: ReadyPipe) -> None:
    (number,) = pipe.child_fds
    waiting = asyncio.create_task(pipe.wait())
    os.write(number, b"REA")
    await asyncio.sleep(0)
    os.write(number, b"DY\n")
    assert await waiting == {}


async def test_end_without_the_word_is_never_ready(pipe: ReadyPipe) -> None:
    os.write(pipe.child_fds[0], b"STEADY\n")
    pipe.spawned()
    waiting = asyncio.create_task(pipe.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    waiting.cancel()


def test_announcing_without_a_supervisor_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FD_VARIABLE, raising=False)
    assert announce_ready() is False
    monkeypatch.setenv(READY_FD_VARIABLE, "x")
    assert announce_ready() is False


def test_details_too_long_for_the_pipe_are_left_out(
    pipe: ReadyPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READY_FD_VARIABLE, str(os.dup(pipe.child_fds[0])))
    assert announce_ready({"long": "x" * 5000}) is True


async def test_file_left_by_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.touch()
    signal = ReadyFile(str(path))
    waiting = asyncio.create_task(signal.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    path.touch()
    assert await waiting == {}


@pytest.mark.parametrize("reason", ["no model", "two\nlines", "ü" * 2000, "\x00" * 2000, "\udc80"])
async def test_reason_to_give_up_reaches_the_parent_in_one_line(
    pipe: ReadyPipe, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setenv(READY_FD_VARIABLE, str(os.dup(pipe.child_fds[0])))
    pipe.spawned()
    assert announce_failed(reason) is True
    assert announce_failed(reason) is False
    expected = " ".join(reason[:600].encode(errors="replace").decode().split())
    assert pipe.last_words() == expected


async def test_process_that_gave_up_is_never_ready(
    pipe: ReadyPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READY_FD_VARIABLE, str(os.dup(pipe.child_fds[0])))
    announce_failed("no model")
    waiting = asyncio.create_task(pipe.wait())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pipe.last_words() == "no model"


@pytest.mark.parametrize("line", [b"", b"FAILED\n", b"FAILED {\n", b"FAILED 7\n", b"READY {}\n"])
def test_no_reason_is_read_from_other_words(pipe: ReadyPipe, line: bytes) -> None:
    os.write(pipe.child_fds[0], line)
    assert pipe.last_words() == ""
