"""GPUs, on machines that have none: a driver of our own making answers."""

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from bellwire.runtime import gpu
from bellwire.runtime.counters import RunCounters
from bellwire.runtime.gpu import (
    GpuGauge,
    GpuUsage,
    limit_gpu_memory,
    own_gauge,
    read_gpus,
    visible_gpus,
)
from bellwire.runtime.load import LoadMeter
from bellwire.runtime.machine import read_machine

UUIDS = ("GPU-aa", "GPU-ab", "GPU-c")


class NVMLError(Exception):
    """As in pynvml."""


class FakeDriver(ModuleType):
    """Answers as pynvml does; `broken` names calls that raise."""

    NVMLError = NVMLError

    def __init__(self, *broken: str) -> None:
        super().__init__("pynvml")
        self.broken = broken

    def _answer(self, name, value):
        if name in self.broken:
            raise NVMLError(f"{name} fails")
        return value

    def nvmlInit(self):
        return self._answer("init", None)

    def nvmlDeviceGetCount(self):
        return self._answer("count", len(UUIDS))

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in UUIDS:
            raise NVMLError("Not Found")
        return UUIDS.index(uuid)

    def nvmlDeviceGetUUID(self, handle):
        return UUIDS[handle] if handle else UUIDS[handle].encode()  # old versions give bytes

    def nvmlDeviceGetMemoryInfo(self, handle):
        return self._answer("memory", SimpleNamespace(used=1 << 30, total=(handle + 1) << 33))

    def nvmlDeviceGetUtilizationRates(self, handle):
        return self._answer("utilization", SimpleNamespace(gpu=25))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    def put(module: ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", module)

    gpu._say_once.cache_clear()
    return put


def test_driver_tells_the_gpus(install) -> None:
    install(FakeDriver())
    assert read_gpus() == gpu.GpuInventory(UUIDS)
    environment = {"CUDA_VISIBLE_DEVICES": "2,GPU-aa"}
    machine = read_machine(with_gpus=True, environment=environment)
    assert machine.gpus == ("GPU-c", "GPU-aa")


@pytest.mark.parametrize(
    ("module", "because"),
    [
        (None, "nvidia-ml-py is not installed"),
        (FakeDriver("init"), "the NVIDIA driver does not answer: init fails"),
        (FakeDriver("count"), "the NVIDIA driver fails: count fails"),
    ],
)
def test_machine_without_a_driver_has_no_gpus_and_a_reason(install, module, because) -> None:
    install(module)
    machine = read_machine(with_gpus=True, environment={})
    assert machine.gpus == ()
    assert because in machine.no_gpus_because


def test_gpus_that_our_environment_hides_are_not_given_away(install) -> None:
    install(FakeDriver())
    machine = read_machine(with_gpus=True, environment={"CUDA_VISIBLE_DEVICES": ""})
    assert machine.gpus == ()
    assert "names none of the GPUs" in machine.no_gpus_because


@pytest.mark.parametrize(
    ("variable", "visible"),
    [
        (None, UUIDS),
        ("", ()),
        ("1", ("GPU-ab",)),
        ("2, 0", ("GPU-c", "GPU-aa")),
        ("GPU-c,1", ("GPU-c", "GPU-ab")),
        ("0,7,1", ("GPU-aa",)),
        ("GPU-a", ()),  # two begin so
        ("-1", ()),
        ("²", ()),  # a digit, and no number
    ],
)
def test_visible_gpus_are_those_cuda_would_show(variable, visible) -> None:
    assert visible_gpus(UUIDS, variable) == visible


def test_gauge_reads_memory_and_utilisation(install) -> None:
    install(FakeDriver())
    assert GpuGauge("GPU-ab").read() == GpuUsage(1 << 30, 1 << 34, 0.25)


def test_part_of_a_gpu_has_no_utilisation(install) -> None:
    install(FakeDriver("utilization"))
    assert GpuGauge("GPU-aa").read() == GpuUsage(1 << 30, 1 << 33, None)


@pytest.mark.parametrize(
    ("module", "uuid"),
    [(None, "GPU-aa"), (FakeDriver("init"), "GPU-aa"), (FakeDriver(), "GPU-x")],
)
def test_gauge_without_a_gpu_reads_nothing_and_says_so_once(install, caplog, module, uuid) -> None:
    install(module)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert GpuGauge(uuid).read() is None
    (record,) = caplog.records
    assert record.message.startswith("no figures of the GPU: ")


def test_reading_that_fails_is_no_reading(install, caplog) -> None:
    install(FakeDriver("memory"))
    gauge = GpuGauge("GPU-aa")
    assert [gauge.read(), gauge.read()] == [None, None]
    assert len(caplog.records) == 1


def test_load_of_an_agent_on_a_gpu_tells_of_it(install) -> None:
    install(FakeDriver())
    environment = {"BELLWIRE_DEVICE": "cuda:1", "CUDA_VISIBLE_DEVICES": "GPU-ab"}
    load = LoadMeter(RunCounters(), gpu=own_gauge(environment)).report(0).gpu
    assert (load.memory_used_bytes, load.memory_total_bytes, load.utilization) == (
        1 << 30, 1 << 34, 0.25
    )  # fmt: skip


def test_load_of_an_agent_whose_gpu_cannot_be_read_tells_nothing(install) -> None:
    install(None)
    environment = {"BELLWIRE_DEVICE": "cuda:1", "CUDA_VISIBLE_DEVICES": "GPU-ab"}
    report = LoadMeter(RunCounters(), gpu=own_gauge(environment)).report(0)
    assert not report.HasField("gpu")


def test_driver_is_not_asked_for_an_agent_on_cpus(install, caplog) -> None:
    install(FakeDriver("init"))
    assert own_gauge({"CUDA_VISIBLE_DEVICES": ""}) is None
    assert caplog.records == []


class FakeTorch(ModuleType):
    """Remembers the fraction it was given."""

    def __init__(self, *, has_gpu: bool) -> None:
        super().__init__("torch")
        self.given: list[tuple[float, int]] = []
        self.cuda = SimpleNamespace(
            is_available=lambda: has_gpu,
            set_per_process_memory_fraction=lambda *given: self.given.append(given),
        )


@pytest.mark.parametrize(("has_gpu", "given"), [(True, [(0.7, 0)]), (False, [])])
def test_torch_is_given_its_share_of_the_one_gpu_it_sees(monkeypatch, has_gpu, given) -> None:
    torch = FakeTorch(has_gpu=has_gpu)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert limit_gpu_memory(0.7) is has_gpu
    assert torch.given == given


def test_torch_is_not_imported_to_be_limited(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert limit_gpu_memory(0.7) is False
    assert "torch" not in sys.modules
