"""torch as an engine; what needs torch itself is marked."""

import io
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.unit.agents.inference.engines.conftest import PUBLISH, WEIGHTS, expected

from bellwire.agents.inference import EngineFailedError, EngineMissingError, InvalidModelError
from bellwire.agents.inference.engines import EngineSettings, load_engine

SETTINGS = EngineSettings()


def actor():
    """Return the network of these tests as a module of torch."""
    torch = pytest.importorskip("torch")

    class Actor(torch.nn.Module):  # type: ignore[name-defined,misc]  # torch may be absent
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.from_numpy(WEIGHTS.copy()))

        def forward(self, x):
            hidden = torch.clamp(x @ self.w, 0, 6)
            return torch.softmax(hidden[:, :3], -1), hidden[:, 3:4]

    return torch, Actor().eval()


def script_bytes() -> bytes:
    torch, module = actor()
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 4)), content)
    return content.getvalue()


def exported(torch, module):
    batch = torch.export.Dim("batch", min=1, max=4096)
    return torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes={"x": {0: batch}})


def exported_bytes() -> bytes:
    torch, module = actor()
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(exported(torch, module), content)
    return content.getvalue()


def compiled_bytes(folder: Path) -> bytes:
    torch, module = actor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = torch._inductor.aoti_compile_and_package(
            exported(torch, module), package_path=str(folder / "compiled.pt2")
        )
    return Path(path).read_bytes()


def check(folder: Path, stored: PUBLISH, content: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = load_engine(folder, stored("torch", content), SETTINGS)
    for batch in (1, 2, 64):
        x = np.random.default_rng(batch).normal(size=(batch, 4)).astype("<f4")
        x.flags.writeable = False
        outputs = engine.infer({"x": x})
        for name, wanted in expected(x).items():
            np.testing.assert_allclose(outputs[name], wanted, atol=1e-6)
    with pytest.raises(EngineFailedError):
        engine.infer({"x": np.zeros((1, 5), "<f4")})
    engine.close()
    with pytest.raises(EngineFailedError, match="closed"):
        engine.infer({"x": np.zeros((1, 4), "<f4")})


@pytest.mark.torch
def test_torchscript_computes_the_network(tmp_path: Path, stored: PUBLISH) -> None:
    check(tmp_path, stored, script_bytes())


@pytest.mark.torch
def test_exported_program_computes_the_network(tmp_path: Path, stored: PUBLISH) -> None:
    check(tmp_path, stored, exported_bytes())


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_compiled_package_computes_the_network(tmp_path: Path, stored: PUBLISH) -> None:
    check(tmp_path, stored, compiled_bytes(tmp_path))


@pytest.mark.torch
@pytest.mark.parametrize(
    "entry", ["data/nothing", "actor/code/__torch__.py", "actor/models/m.json"]
)
def test_damaged_file_is_refused(tmp_path: Path, stored: PUBLISH, entry: str) -> None:
    pytest.importorskip("torch")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(entry, "{")
    with pytest.raises(InvalidModelError):
        load_engine(tmp_path, stored("torch", content.getvalue()), SETTINGS)
    with pytest.raises(InvalidModelError, match="not a zip"):
        load_engine(tmp_path, stored("torch", b"no archive"), SETTINGS)


@pytest.mark.torch
def test_absent_gpu_is_named(tmp_path: Path, stored: PUBLISH) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineMissingError, match="CUDA device 0 of 0"):
        load_engine(tmp_path, stored("torch", b""), EngineSettings(device="cuda"))


@pytest.mark.torch
def test_gpu_without_memory_fails_the_batch_and_serves_the_next(
    tmp_path: Path, stored: PUBLISH
) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    manifest = stored("torch", script_bytes(), batch_max=2**20)
    engine = load_engine(tmp_path, manifest, EngineSettings(device="cuda"))
    engine.infer({"x": np.zeros((1, 4), "<f4")})
    torch.cuda.set_per_process_memory_fraction(1e-5)
    try:
        with pytest.raises(EngineFailedError, match="out of memory"):
            engine.infer({"x": np.zeros((2**20, 4), "<f4")})
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    x = np.ones((2, 4), "<f4")
    np.testing.assert_allclose(engine.infer({"x": x})["p"], expected(x)["p"], atol=1e-5)


def test_absent_package_is_named(
    tmp_path: Path, stored: PUBLISH, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineMissingError, match=r"pip install 'bellwire.train.'"):
        load_engine(tmp_path, stored("torch", b""), SETTINGS)
