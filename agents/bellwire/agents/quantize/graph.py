"""ONNX models as bytes in and out; the package `onnx` is imported when the first one is opened."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from bellwire.agents.inference.errors import EngineMissingError

if TYPE_CHECKING:
    from onnx import ModelProto

REMEDY: Final = "pip install 'bellwire[models]'"


def package(name: str) -> ModuleType:
    """Return a package of the extra `models`, or a module in it.

    Raises:
        EngineMissingError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise EngineMissingError("quantize", f"the package {name}", REMEDY) from error


def onnx_package() -> ModuleType:
    """Return `onnx`; errors as of `package`."""
    return package("onnx")


def parsed(content: bytes) -> "ModelProto":
    """Return the model in these bytes, which ONNX Runtime has loaded once: they are one."""
    model: ModelProto = onnx_package().load_from_string(content)
    return model


def serialized(model: "ModelProto") -> bytes:
    """Return equal bytes for equal models."""
    return model.SerializeToString(deterministic=True)
