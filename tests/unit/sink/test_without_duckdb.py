"""DuckDB is an extra: everything else works without it, and the two verbs that need it say so."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import sys
sys.modules["duckdb"] = None
from bellwire.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("sink",), ("query", "SELECT 1", "--store", "store")])
def test_a_verb_that_needs_it_names_the_extra(tmp_path, arguments):
    (tmp_path / "store" / "messages").mkdir(parents=True)
    done = command(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr == (
        "error: this verb needs package 'duckdb': pip install 'bellwire[sinks]'\n"
    )


def test_the_settings_of_all_sections_are_read_without_it(tmp_path):
    done = command(tmp_path, "config", "show", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sink.batch_rows" in done.stdout


def test_a_coordinator_needs_it_only_for_a_store_of_its_cache(tmp_path):
    flags = ("serve", "--listen", f"unix://{tmp_path}/bus.sock", "--set", "cache.store=store")
    done = command(tmp_path, *flags)
    assert done.returncode == 2
    assert done.stderr == (
        "error: cache.store is 'store'; expected empty without DuckDB; install bellwire[sinks]\n"
    )
    assert not (tmp_path / "store").exists()
