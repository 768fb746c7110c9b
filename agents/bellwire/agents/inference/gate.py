"""Whether a model may be served: what whoever loads one asks first.

The gate itself, which measures a quantized model against its parent, is `bellwire.agents.quantize`; its report lies in
the manifest, and to read it takes neither the model nor the packages that quantize.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bellwire.agents.inference.errors import GateFailedError
from bellwire.agents.inference.model import VERSION_MAX, ModelManifest, is_model_name

GATE: Final = "gate"  # keys of a manifest's metadata
PARENT: Final = "parent"


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that another one was quantized from."""

    name: str
    version: int
    sha256: str
    """Of its file then, by which it is known again."""

    def is_still(self, manifest: ModelManifest) -> bool:
        """Tell whether a version is the one that was quantized, and no other in its place."""
        return (manifest.name, manifest.version, manifest.sha256) == (
            self.name,
            self.version,
            self.sha256,
        )


def check_gate(manifest: ModelManifest) -> None:
    """Let pass what is not quantized, and what is and has passed its gate. Fails closed.

    Raises:
        GateFailedError: Its gate failed, its report says nothing, or it is quantized and has none.
    """
    report = manifest.metadata.get(GATE)
    if report is None and manifest.quantization == "none":
        return
    if not isinstance(report, Mapping):
        raise _refused(manifest, (f"it is quantized ({manifest.quantization}) without a gate",))
    if report.get("passed") is not True:
        raise _refused(manifest, _reasons(report))


def parent_of(manifest: ModelManifest) -> Parent | None:
    """Return which version it was quantized from; None where its manifest names none."""
    given = manifest.metadata.get(PARENT)
    key, digest = (
        (given.get("key"), given.get("sha256")) if isinstance(given, Mapping) else (None, None)
    )
    if not isinstance(key, str) or not isinstance(digest, str):
        return None
    name, _, number = key.rpartition(":")
    is_number = number.isascii() and number.isdigit() and len(number) <= len(str(VERSION_MAX))
    return Parent(name, int(number), digest) if is_model_name(name) and is_number else None


def _reasons(report: Mapping[str, Any]) -> tuple[str, ...]:
    given = report.get("reasons")
    said = tuple(map(str, given)) if isinstance(given, list | tuple) else ()
    return said or ("its gate has not passed it",)


def _refused(manifest: ModelManifest, reasons: tuple[str, ...]) -> GateFailedError:
    parent = manifest.metadata.get(PARENT)
    key = parent.get("key", "") if isinstance(parent, Mapping) else ""
    return GateFailedError(manifest.key, reasons, str(key))
