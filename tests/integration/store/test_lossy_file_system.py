"""Power failures: on a disk that forgets what was not synced, nothing acknowledged is lost."""

from __future__ import annotations

import ctypes.util
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from tests.conftest import TOOLS_ARE_REQUIRED
from tests.integration.store.load import check_is_prefix

from bellwire.coordinator.log.sqlite import SqliteStore, examine
from bellwire.wire.errors import DataCorruptError

REPOSITORY = Path(__file__).resolve().parents[3]
ROUNDS = 12
SEED = 520
COMMIT_SECONDS = 0.02  # About what one takes here: the power fails anywhere within it.
GROUPS_MAX = 60  # Of one round, before the power goes.
CHECKPOINTS = "checkpoint_pages=40"  # So that the power fails during checkpoints too.

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def require_fuse() -> None:
    """Skip, or in CI fail, where no FUSE file system can be mounted."""
    reason = ""
    if not Path("/dev/fuse").exists() or os.geteuid() != 0:
        reason = "a FUSE file system needs /dev/fuse and root"
    elif not (os.environ.get("FUSE_LIBRARY_PATH") or ctypes.util.find_library("fuse")):
        reason = "libfuse2 is absent; .ci/run installs it"
    if not reason:
        return
    if TOOLS_ARE_REQUIRED and Path("/dev/fuse").exists():
        pytest.fail(reason)
    pytest.skip(f"LOSS AT A POWER FAILURE IS NOT TESTED: {reason}")


@contextmanager
def lossy_disk(path: Path) -> Iterator[Path]:
    """A mounted disk that forgets; mounted again it holds what was synced before the crash."""
    require_fuse()
    path.mkdir(exist_ok=True)
    platter = path.with_suffix(".platter")
    command = [sys.executable, "-m", "tests.integration.store.lossy_disk", str(path), str(platter)]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        try:
            while not os.path.ismount(path):
                assert process.poll() is None, "the file system ended before it was mounted"
            yield path
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
            process.terminate()


def write_until_the_power_fails(
    path: Path, first: int, groups: int, random: Random, *options: str
) -> int:
    """Let a process write at least so many groups, then cut the power; return the last acknowledged."""
    with lossy_disk(path) as disk:
        command = [
            *(sys.executable, "-m", "tests.integration.store.load", str(disk / "data"), str(first)),
            *("size=900", *options),
        ]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            pipe, told = writer.stdout.fileno(), b""
            while told.count(b"\n") < groups:
                told += os.read(pipe, 1 << 16)
            select.select([pipe], [], [], random.random() * COMMIT_SECONDS)
            # Stopped wherever it is: whatever it has acknowledged by now is in the pipe.
            os.kill(writer.pid, signal.SIGSTOP)
            os.waitpid(writer.pid, os.WUNTRACED)
            (disk / ".crash").write_bytes(b"!")
            writer.kill()
            while more := os.read(pipe, 1 << 16):
                told += more
    return int(told[: told.rindex(b"\n")].splitlines()[-1])


def recovered(path: Path, mode: str) -> int:
    """Open what is left, check that it is whole, and return its last group; -1 = nothing is left."""
    with lossy_disk(path) as disk:
        store = SqliteStore(disk / "data", exclusive_locking=mode == "yes")
        try:
            last = check_is_prefix(store.load(), store)
        finally:
            store.close()
        assert examine(disk / "data").errors == []
        (disk / ".crash").write_bytes(b"!")  # What the recovery has not synced is gone as well.
    return last


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["no", "yes"], ids=["shared", "exclusive"])
def test_nothing_acknowledged_is_lost_when_the_power_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    random = Random(SEED)
    acknowledged = last = -1
    survivors = 0
    for _ in range(ROUNDS):
        groups = random.randrange(1, GROUPS_MAX)
        acknowledged = write_until_the_power_fails(
            tmp_path / "disk", last + 1, groups, random, f"exclusive={mode}", CHECKPOINTS
        )
        last = recovered(tmp_path / "disk", mode)
        assert last >= acknowledged, f"{acknowledged - last} acknowledged groups are lost"
        survivors += last - acknowledged
    with capsys.disabled():
        print(
            f"\nsynchronous=FULL, exclusive locking {mode}: {ROUNDS} power failures, "
            f"{acknowledged + 1} groups acknowledged, 0 lost, "
            f"{survivors} committed and not acknowledged, integrity ok each time"
        )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["no", "yes"], ids=["shared", "exclusive"])
def test_without_a_sync_per_commit_the_power_failure_loses_what_was_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Synchronous=NORMAL, and no checkpoint that would sync by the way: the test above can fail."""
    acknowledged = write_until_the_power_fails(
        tmp_path / "disk", 0, 10, Random(SEED), f"exclusive={mode}", "synchronous=NORMAL"
    )
    try:
        last = recovered(tmp_path / "disk", mode)
    except DataCorruptError as error:
        last = -1
        print(f"\nnot even readable: {error.message}")
    lost = acknowledged - last
    with capsys.disabled():
        print(
            f"\nsynchronous=NORMAL: 1 power failure, {acknowledged + 1} groups acknowledged, "
            f"{lost} lost"
        )
    assert lost > 0
