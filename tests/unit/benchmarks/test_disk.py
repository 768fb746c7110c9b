"""What is said of disks."""

import os

import psutil
from tests.benchmarks.disk import describe_disk, kept_bytes, probe_sync, written_bytes


def test_files_of_a_folder_count_with_what_they_occupy_however_deep(tmp_path):
    assert kept_bytes(tmp_path / "no-such-folder") == 0
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    before = kept_bytes(tmp_path)
    with (deep / "log").open("wb") as file:
        file.write(bytes(100_000))
        file.flush()
        os.fsync(file.fileno())  # Some file systems allocate only then.
    assert 100_000 <= kept_bytes(tmp_path) - before < 200_000


def test_written_bytes_only_grow():
    process = psutil.Process()
    first = written_bytes([process])
    second = written_bytes([process])
    assert first is None or second is None or second >= first


def test_a_disk_is_described_by_its_file_system(tmp_path):
    disk = describe_disk(tmp_path)
    assert disk["file_system"]
    assert set(disk) == {"file_system", "device", "model", "write_cache"}


def test_the_sync_probe_times_writes_and_leaves_nothing_behind(tmp_path):
    probe = probe_sync(tmp_path)
    assert 0 <= probe["p50_us"] <= probe["p99_us"]
    assert list(tmp_path.iterdir()) == []
