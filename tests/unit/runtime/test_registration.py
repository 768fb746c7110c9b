"""What an agent says about where it runs."""

from bellwire.runtime.placement import DEVICE_VARIABLE
from bellwire.runtime.registration import device_name


def test_device_names_the_cpus_only_when_pinned() -> None:
    assert device_name({}, {0, 1}, 2) == "cpu"
    assert device_name({}, {3, 1}, 4) == "cpu:1,3"


def test_gpu_is_named_as_the_supervisor_counts_it() -> None:
    assert device_name({DEVICE_VARIABLE: "cuda:1"}, {0}, 2) == "cuda:1"
