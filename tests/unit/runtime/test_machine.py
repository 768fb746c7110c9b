"""What is read of this machine."""

import os
from pathlib import Path

from bellwire.runtime.machine import read_machine, read_nodes


def test_cpus_are_those_this_process_may_use() -> None:
    machine = read_machine(with_gpus=False, environment={})
    assert machine.cpus == os.sched_getaffinity(0)
    assert (machine.gpus, machine.is_launch_blocking) == ((), False)


def test_nodes_cover_the_cpus_where_the_kernel_tells() -> None:
    machine = read_machine(with_gpus=False, environment={})
    if machine.nodes:
        assert frozenset().union(*machine.nodes.values()) >= machine.cpus


def test_nodes_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    for name, text in (("node0", "0-1,4-5\n"), ("node1", "2-3\n"), ("node2", "\n"), ("nodes", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpulist").write_text(text)
    assert read_nodes(tmp_path) == {0: {0, 1, 4, 5}, 1: {2, 3}}


def test_kernel_without_nodes_has_none(tmp_path: Path) -> None:
    assert read_nodes(tmp_path / "absent") == {}


def test_blocking_launches_of_the_environment_are_seen() -> None:
    environment = {"CUDA_LAUNCH_BLOCKING": "1"}
    assert read_machine(with_gpus=False, environment=environment).is_launch_blocking
