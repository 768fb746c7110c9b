"""bellwire.cli.notices: what is logged while a verb runs, on stderr."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from collections.abc import Iterator

import pytest

from bellwire.cli.notices import notices


def test_warnings_of_all_and_news_of_some_are_lines_with_the_time(capsys) -> None:
    with notices("bellwire.models"):
        logging.getLogger("bellwire.models").info("actor:4: is in order again")
        logging.getLogger("bellwire.client").info("next try in 0.1 s")
        logging.getLogger("bellwire.client").warning("lost\x1b[2J")
        logging.getLogger("somebody.else").info("nothing of ours")
    told = capsys.readouterr()
    assert told.out == ""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in told.err.splitlines()]
    assert lines == ["actor:4: is in order again", "lost\\x1b[2J"]


def test_afterwards_nothing_is_printed_and_the_level_is_what_it_was(capsys) -> None:
    logger = logging.getLogger("bellwire")
    level, handlers = logger.level, list(logger.handlers)
    with notices():
        pass
    assert (logger.level, logger.handlers) == (level, handlers)


@pytest.fixture(params=["full disk", "broken pipe", "closed"])
def dead_stderr(request, monkeypatch) -> Iterator[None]:
    """Nothing can be written to stderr."""
    if request.param == "broken pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    raw = io.FileIO(writer, "w")
    stderr = io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True)
    if request.param == "closed":
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    yield
    if not raw.closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # What waits there goes.
        stderr.close()


def test_stderr_that_cannot_be_written_ends_nobody_who_logs(dead_stderr, monkeypatch) -> None:
    out = os.fstat(1)
    ours = io.FileIO(os.dup(1), "w")
    with notices(), ours:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(ours))
        for _ in range(2):
            logging.getLogger("bellwire.client").warning("lost")
        now = os.fstat(sys.stdout.fileno())
    assert (now.st_dev, now.st_ino) == (out.st_dev, out.st_ino), "stdout goes elsewhere"
