"""PyTorch: for GPUs, and for models that were never exported to ONNX.

Three kinds of file, told apart by what is in the archive: programs of `torch.export` and packages of AOTInductor
(`.pt2`), and TorchScript (`.pt`, which torch itself calls deprecated). Loading any of them can run code that is in it:
load only files you would run. Importing torch takes seconds and 170 MB, so it waits until a model needs it.
"""

import io
import warnings
import zipfile
from collections.abc import Callable, Mapping
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from bellwire.agents.inference.engines.model_file import ModelFile
from bellwire.agents.inference.engines.outputs import check_finite, float_names
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.errors import EngineFailedError, EngineMissingError
from bellwire.agents.inference.model import ModelManifest
from bellwire.agents.inference.tensor import Array, Tensors


class ArchiveKind(Enum):
    """What a file of torch holds."""

    AOT = "AOTInductor package"
    EXPORTED = "program of torch.export"
    SCRIPT = "TorchScript"


class TorchEngine:
    """A module of torch; inputs are passed by position, in the manifest's order."""

    def __init__(
        self, manifest: ModelManifest, torch: ModuleType, module: Any, device: str
    ) -> None:
        self._manifest = manifest
        self._torch = torch
        self._module: Callable[..., object] | None = module
        self._device = device
        self._inputs = tuple(spec.name for spec in manifest.inputs)
        self._outputs = tuple(spec.name for spec in manifest.outputs)
        self._floats = float_names(manifest.outputs)

    @property
    def manifest(self) -> ModelManifest:
        """What it was loaded from."""
        return self._manifest

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the outputs for a batch that was checked against the manifest's specs.

        A GPU that has no memory left gives back what torch had cached, and the next batch may go well.

        Raises:
            EngineFailedError: torch failed, the outputs are not finite, or it is closed.
        """
        if self._module is None:
            raise EngineFailedError(self._manifest.key, "it is closed")
        try:
            with self._torch.inference_mode():
                given = self._module(*[self._tensor(inputs[name]) for name in self._inputs])
                outputs = {name: _array(value) for name, value in self._named(given)}
        except Exception as error:
            if isinstance(error, self._torch.OutOfMemoryError):
                self._torch.cuda.empty_cache()
            raise EngineFailedError(self._manifest.key, str(error)) from error
        check_finite(self._manifest.key, outputs, self._floats)
        return outputs

    def close(self) -> None:
        """Let the module go; a GPU's memory returns to the driver."""
        self._module = None
        if self._device != "cpu":
            self._torch.cuda.empty_cache()

    def _tensor(self, array: Array) -> Any:
        # torch has no read-only tensors, and what comes off the wire is read-only.
        writeable = array if array.flags.writeable else array.copy()
        return self._torch.from_numpy(np.ascontiguousarray(writeable)).to(self._device)

    def _named(self, given: object) -> list[tuple[str, Any]]:
        if isinstance(given, Mapping):
            return [(name, given[name]) for name in self._outputs]
        values = given if isinstance(given, tuple | list) else (given,)
        return list(zip(self._outputs, values, strict=True))


def _array(tensor: Any) -> Array:
    # A copy: a compiled module may write the next outputs into the same memory.
    array: Array = np.array(tensor.numpy(force=True))
    return array


def load_torch(manifest: ModelManifest, file: ModelFile, settings: EngineSettings) -> TorchEngine:
    """Load a `.pt2` or `.pt`; the number of threads is torch's, and so the whole process's.

    Raises:
        EngineMissingError: torch is not installed, or CUDA is asked for and not there.
        InvalidModelError: It is damaged, or none of the kinds that are known.
    """
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise EngineMissingError("torch", "torch", "pip install 'bellwire[train]'") from error
    device = _device(torch, settings)
    torch.set_num_threads(settings.threads)
    kind = _kind(file)
    try:
        module = _module(kind, file, device)
    except Exception as error:
        raise file.invalid(str(error), f"a {kind.value} for {device}") from error
    return TorchEngine(manifest, torch, module, device)


def _device(torch: ModuleType, settings: EngineSettings) -> str:
    if settings.device == "cpu":
        return "cpu"
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if settings.device_index >= devices:
        raise EngineMissingError(
            "torch", f"CUDA device {settings.device_index} of {devices}", "take another or the cpu"
        )
    return f"cuda:{settings.device_index}"


def _kind(file: ModelFile) -> ArchiveKind:
    expected = "a .pt2 or .pt as torch writes them"
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise file.invalid(str(error), expected) from error
    if any("/aotinductor/" in name for name in names):
        return ArchiveKind.AOT
    if any("/models/" in name or "serialized_exported_program" in name for name in names):
        return ArchiveKind.EXPORTED
    if any("/code/" in name for name in names):
        return ArchiveKind.SCRIPT
    raise file.invalid("an archive of another kind", expected)


def _module(kind: ArchiveKind, file: ModelFile, device: str) -> Callable[..., object]:
    content = io.BytesIO(file.content)
    module: Callable[..., object]
    if kind is ArchiveKind.AOT:
        index = int(device.partition(":")[2] or -1)
        module = import_module("torch._inductor").aoti_load_package(content, device_index=index)
    elif kind is ArchiveKind.EXPORTED:
        program = import_module("torch.export").load(content)
        if device != "cpu":
            program = import_module("torch.export.passes").move_to_device_pass(program, device)
        module = program.module()
    else:
        with warnings.catch_warnings():
            # The manifest's author knows; at each start nobody can do anything about it.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = import_module("torch.jit").load(content, map_location=device).eval()
    return module
