"""What a machine can give of a device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.runtime.errors import MissingDeviceError
from bellwire.runtime.placement import Machine, Placement, PlacementSettings, place
from bellwire.wire.settings import SettingsError

REFUSE = PlacementSettings()
DEGRADE = PlacementSettings(on_missing_device="degrade")
ANY = PlacementSettings(numa="any")
SMALL = Machine(frozenset({0, 1}), nodes={0: frozenset({0, 1})})
NODES = {0: frozenset({0, 1, 4, 5}), 1: frozenset({2, 3, 6, 7})}
BIG = Machine(frozenset(range(8)), nodes=NODES, gpus=("GPU-a", "GPU-b"))


def test_cpu_agent_sees_no_gpu_and_is_not_pinned_on_a_machine_of_one_node() -> None:
    placement = place("cpu", SMALL, REFUSE)
    assert (str(placement.device), placement.cpus, placement.notices) == ("cpu", (), ())
    assert placement.environment == {"CUDA_VISIBLE_DEVICES": "", "BELLWIRE_DEVICE": ""}


def test_named_cpus_are_given() -> None:
    assert place("cpu:1", SMALL, REFUSE).cpus == (1,)


def test_cpu_that_may_not_be_used_is_refused_with_those_that_may() -> None:
    with pytest.raises(MissingDeviceError, match=r"CPU 2,7 may not be used.* are 0,1") as refused:
        place("cpu:1,2,7", SMALL, REFUSE)
    assert refused.value.device == "cpu:1,2,7"


@pytest.mark.parametrize(
    ("asked", "cpus", "got"), [("cpu:1,7", (1,), "cpu:1"), ("cpu:7", (), "cpu")]
)
def test_degraded_cpus_are_those_that_are_left(asked, cpus, got) -> None:
    placement = place(asked, SMALL, DEGRADE)
    assert (placement.cpus, str(placement.device)) == (cpus, got)
    (notice,) = placement.notices
    assert "CPU 7" in notice
    assert f"runs on '{got}'" in notice


def test_processes_take_one_numa_node_after_the_other() -> None:
    cpus = [place("cpu", BIG, REFUSE, nth=nth).cpus for nth in range(3)]
    assert cpus == [(0, 1, 4, 5), (2, 3, 6, 7), (0, 1, 4, 5)]


def test_node_whose_cpus_may_not_be_used_is_left_out() -> None:
    machine = Machine(frozenset({0, 1, 4}), nodes=NODES)
    assert place("cpu", machine, REFUSE, nth=1).cpus == ()


def test_numa_is_left_to_the_kernel_when_the_settings_say_so() -> None:
    assert place("cpu", BIG, ANY).cpus == ()


def test_cpus_of_two_nodes_are_given_with_a_word_of_warning() -> None:
    assert "NUMA nodes 0, 1" in place("cpu:1,2", BIG, REFUSE).notices[0]
    assert place("cpu:0,1", BIG, REFUSE).notices == ()


def test_gpu_is_named_to_cuda_by_its_uuid_and_to_us_by_its_number() -> None:
    placement = place("cuda:1", BIG, REFUSE)
    assert placement.environment == {
        "CUDA_VISIBLE_DEVICES": "GPU-b",
        "CUDA_LAUNCH_BLOCKING": "0",
        "BELLWIRE_DEVICE": "cuda:1",
    }
    assert (placement.cpus, placement.notices) == ((), ())


@pytest.mark.parametrize(
    ("machine", "because"),
    [
        (BIG, "the machine has 2 GPUs, counted from 0"),
        (Machine(frozenset({0}), no_gpus_because="no driver"), "no driver"),
    ],
)
def test_gpu_that_is_not_there_is_refused_or_replaced_with_the_reason(machine, because) -> None:
    with pytest.raises(MissingDeviceError, match=because):
        place("cuda:2", machine, REFUSE)
    placement = place("cuda:2", machine, DEGRADE)
    assert placement.device.gpu is None
    assert placement.environment == {"CUDA_VISIBLE_DEVICES": "", "BELLWIRE_DEVICE": ""}
    assert because in placement.notices[0]


def test_replacement_of_a_gpu_keeps_to_a_numa_node() -> None:
    assert place("cuda:2", BIG, DEGRADE, nth=1).cpus == (2, 3, 6, 7)


def test_blocking_launches_of_our_environment_are_not_passed_on_and_this_is_said() -> None:
    machine = Machine(frozenset({0}), gpus=("GPU-a",), is_launch_blocking=True)
    placement = place("cuda:0", machine, REFUSE)
    assert placement.environment["CUDA_LAUNCH_BLOCKING"] == "0"
    assert "CUDA_LAUNCH_BLOCKING=1" in placement.notices[0]


@pytest.mark.parametrize(
    "values",
    [{"on_missing_device": "ignore"}, {"numa": "bind"}, {"gpu_memory_fraction": 0.0}],
)
def test_settings_out_of_range_are_refused(values) -> None:
    with pytest.raises(SettingsError):
        PlacementSettings(**values)


@given(
    cpus=st.frozensets(st.integers(0, 15), min_size=1),
    asked=st.frozensets(st.integers(0, 15), min_size=1),
    nth=st.integers(0, 9),
)
def test_no_process_is_ever_pinned_to_a_cpu_it_may_not_use(cpus, asked, nth) -> None:
    machine = Machine(cpus, nodes={n: frozenset(range(4 * n, 4 * n + 4)) for n in range(4)})
    for text in ("cpu", "cuda:0", "cpu:" + ",".join(map(str, asked))):
        placement: Placement = place(text, machine, DEGRADE, nth=nth)
        assert set(placement.cpus) <= cpus
