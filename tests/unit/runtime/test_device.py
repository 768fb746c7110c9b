"""How a device is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwire.runtime.device import CPU_NUMBER_MAX, Device, cpu_list, parse_cpu_list, parse_device
from bellwire.runtime.errors import InvalidDeviceError


@pytest.mark.parametrize(
    ("text", "device", "written"),
    [
        ("cpu", Device(), "cpu"),
        ("cpu:2,3", Device(cpus=(2, 3)), "cpu:2,3"),
        ("cpu:3,2,3", Device(cpus=(2, 3)), "cpu:2,3"),
        ("cpu:0-3,8", Device(cpus=(0, 1, 2, 3, 8)), "cpu:0-3,8"),
        ("cuda:0", Device(gpu=0), "cuda:0"),
        ("cuda:15", Device(gpu=15), "cuda:15"),
    ],
)
def test_device_is_read_and_written(text: str, device: Device, written: str) -> None:
    assert parse_device(text) == device
    assert str(device) == written


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "'' is no kind"),
        ("gpu:0", "'gpu' is no kind"),
        ("cuda", "'cuda' is no kind"),
        ("cuda:-1", "'cuda' is no kind"),
        ("cpu:", "'' is no CPU number"),
        ("cpu:two", "'two' is no CPU number"),
        ("cpu:1,,2", "'' is no CPU number"),
        ("cpu:3-1", "not an ascending range"),
        ("cpu:0-9999", "within 0..8191"),
        ("cpu:99999999999", "is no CPU number"),
        ("cpu:-1", "is no CPU number"),
    ],
)
def test_what_is_no_device_is_refused_with_what_was_found(text: str, found: str) -> None:
    with pytest.raises(InvalidDeviceError, match=found) as refused:
        parse_device(text)
    assert refused.value.device == text
    assert "write 'cpu'" in str(refused.value)


@given(st.frozensets(st.integers(0, CPU_NUMBER_MAX), min_size=1, max_size=40))
def test_list_of_cpus_is_read_as_it_was_written(cpus: frozenset[int]) -> None:
    assert parse_cpu_list(cpu_list(cpus)) == cpus


def test_no_cpus_are_written_as_nothing() -> None:
    assert cpu_list(()) == ""
