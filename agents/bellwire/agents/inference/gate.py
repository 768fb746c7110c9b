"""Whether a model may be served: what whoever loads one asks first.

The gate itself, which measures a quantized model against its parent, is `bellwire.agents.quantize`; its report lies in
the manifest, and to read it takes neither the model nor the packages that quantize.
"""

from collections.abc import Mapping
from typing import Any, Final

from bellwire.agents.inference.errors import GateFailedError
from bellwire.agents.inference.model import ModelManifest

GATE: Final = "gate"  # keys of a manifest's metadata
PARENT: Final = "parent"


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


def _reasons(report: Mapping[str, Any]) -> tuple[str, ...]:
    given = report.get("reasons")
    said = tuple(map(str, given)) if isinstance(given, list | tuple) else ()
    return said or ("its gate has not passed it",)


def _refused(manifest: ModelManifest, reasons: tuple[str, ...]) -> GateFailedError:
    parent = manifest.metadata.get(PARENT)
    key = parent.get("key", "") if isinstance(parent, Mapping) else ""
    return GateFailedError(manifest.key, reasons, str(key))
