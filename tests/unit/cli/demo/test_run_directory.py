"""bellwire.cli.demo.run_directory: private, bounded, found again."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest

from bellwire.cli.demo.run_directory import RUNS_KEPT, last_run, new_run
from bellwire.cli.faults import UsageFault


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_run_gets_a_private_folder_with_its_parts(temporary_folder):
    run = new_run(None)
    assert run.path.parent == temporary_folder / f"bellwire-{os.getuid()}"
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert run.traces.is_dir()
    assert run.logs.is_dir()
    assert run.address == f"unix://{run.path}/bus.sock"


def test_the_last_run_is_found_again():
    assert last_run() is None
    new_run(None)
    newest = new_run(None)
    os.utime(newest.path, ns=(2**62, 2**62))
    found = last_run()
    assert found is not None
    assert found.path == newest.path


def test_old_runs_are_dropped(temporary_folder):
    for age in range(RUNS_KEPT + 3):
        os.utime(new_run(None).path, ns=(age, age))
    runs = list((temporary_folder / f"bellwire-{os.getuid()}").iterdir())
    assert len(runs) == RUNS_KEPT


def test_a_folder_of_somebody_else_is_neither_used_nor_read(temporary_folder):
    elsewhere = temporary_folder / "elsewhere"
    (elsewhere / "demo-planted").mkdir(parents=True)
    (temporary_folder / f"bellwire-{os.getuid()}").symlink_to(elsewhere)
    assert last_run() is None
    assert new_run(None).path.parent == temporary_folder


def test_a_named_folder_is_made_and_must_be_empty(temporary_folder):
    run = new_run(temporary_folder / "mine" / "run")
    assert run.traces.is_dir()
    with pytest.raises(UsageFault, match=r"is not empty \(it holds (logs|traces)\)"):
        new_run(temporary_folder / "mine" / "run")


def test_a_named_folder_that_cannot_be_made_is_refused(temporary_folder):
    (temporary_folder / "file").write_text("")
    with pytest.raises(UsageFault, match="cannot be used"):
        new_run(temporary_folder / "file" / "run")


def test_a_path_too_long_for_a_socket_is_refused(temporary_folder):
    with pytest.raises(UsageFault, match="a Unix socket's path holds 107"):
        new_run(temporary_folder / ("x" * 100))
