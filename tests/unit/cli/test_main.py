"""bellwire.cli.main and app: what a missing package or a fault of ours looks like."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import sys
sys.modules[{name!r}] = None
from bellwire.cli.main import run
sys.exit(run({arguments!r}))
"""


def run_without(name, *arguments):
    program = BLOCKED.format(name=name, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("typer", ["version"], "error: the command needs its own packages: pip install"),
        ("uvloop", ["serve"], "error: this verb needs package 'uvloop': pip install 'bellwire[ser"),
        ("numpy", ["demo"], "error: this verb needs package 'numpy': pip install 'bellwire[agents"),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(name, arguments, line):
    done = run_without(name, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_missing_module_of_our_own_is_not_hidden():
    done = run_without("bellwire.cli.output", "version")
    assert "Traceback" in done.stderr
