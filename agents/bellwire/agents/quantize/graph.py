"""ONNX models as bytes in and out; the package `onnx` is imported when the first one is opened."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from bellwire.agents.inference.errors import EngineMissingError
from bellwire.agents.quantize.session import REMEDY

if TYPE_CHECKING:
    from onnx import ModelProto


def onnx_package() -> ModuleType:
    """Return the package.

    Raises:
        EngineMissingError: It is not installed.
    """
    try:
        return import_module("onnx")
    except ImportError as error:
        raise EngineMissingError("quantize", "the package onnx", REMEDY) from error


def parsed(content: bytes) -> "ModelProto":
    """Return the model in these bytes, which ONNX Runtime has loaded once: they are one."""
    model: ModelProto = onnx_package().load_from_string(content)
    return model


def serialized(model: "ModelProto") -> bytes:
    """Return equal bytes for equal models."""
    return model.SerializeToString(deterministic=True)
