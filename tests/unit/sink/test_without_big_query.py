"""Google's packages are an extra: the verb that needs them says so, and the sink into files does not load them."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import sys
sys.modules["google.cloud"] = None
sys.modules["google.auth"] = None
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


def test_the_option_that_needs_them_names_the_extra(tmp_path):
    done = command(tmp_path, "sink", "--bigquery", "desk.bus.messages")
    assert done.returncode == 1
    assert done.stderr == (
        "error: this verb needs package 'google.cloud.bigquery_storage_v1': pip install 'bellwire[bigquery]'\n"
    )


def test_the_sink_into_files_does_not_load_them():
    check = (
        "import sys, bellwire.cli.sinking; "
        "sys.exit(bool([name for name in sys.modules if name.startswith(('google.cloud', 'google.auth'))]))"
    )
    done = subprocess.run([sys.executable, "-c", check], timeout=30, check=False)
    assert done.returncode == 0


def test_a_name_that_is_no_table_is_refused_before_anything_is_tried(tmp_path):
    done = command(tmp_path, "sink", "--bigquery", "only-a-table")
    assert done.returncode == 2
    assert "sink.bigquery is 'only-a-table'; expected PROJECT.DATASET.TABLE" in done.stderr


def test_a_table_is_written_without_duckdb():
    check = (
        "import sys; sys.modules['duckdb'] = None; "
        "import bellwire.cli.sinking, bellwire.sink.bigquery"
    )
    done = subprocess.run([sys.executable, "-c", check], timeout=30, check=False)
    assert done.returncode == 0
