"""bellwire.cli.train and training: what is refused, and how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from bellwire.cli.training import StopRequest

BLOCKED = """
import sys
sys.modules["torch"] = None
from bellwire.cli.main import run
sys.exit(run(["train", "tactical", "--out", sys.argv[1], "--data", "absent.csv"]))
"""


def test_without_torch_it_names_the_extra_before_it_reads_or_writes_anything(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: this verb needs package 'torch': pip install 'bellwire[train]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    with StopRequest() as stop:
        made = [stop.is_made]
        os.kill(os.getpid(), signal.SIGINT)
        made.append(stop.is_made)
        assert made == [False, True]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_means_afterwards_what_it_meant_before():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
