"""bellwire.cli.output: where lines go."""

from __future__ import annotations

import os
import sys

import pytest

from bellwire.cli.output import error_console


def test_whoever_writes_to_stderr_goes_on_when_nobody_reads_it_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as file:  # Closing it writes what is left.
        monkeypatch.setattr(sys, "stderr", file)
        error_console().print("one")
        error_console().print("two")
