"""Try a version out as a server would: read its manifest, ask its gate, load it, compute zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bellwire.cli.output import harmless
from bellwire.cli.units import bytes_text
from bellwire.wire.errors import BellwireError, CallerError

if TYPE_CHECKING:
    from bellwire.agents.inference import ModelManifest

__all__ = ["LOOK_BATCHES", "Trial", "try_version"]

LOOK_BATCHES: Final = (1,)  # Who only looks need not compute as much as a server does at its start.
# What a look at a whole folder loads: others take seconds, or gigabytes, each.
QUICK_ENGINES: Final = ("numpy", "onnx")
QUICK_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    problem: str = ""
    """Why it cannot be served; empty = nothing speaks against it."""
    untried: str = ""
    """Why it was not loaded here; empty = it was, or there is a problem."""

    @property
    def verdict(self) -> str:
        """Return both in words for people."""
        if self.problem:
            return f"no: {harmless(self.problem)}"
        return f"not tried: {harmless(self.untried)}" if self.untried else "yes"


def try_version(
    folder: Path,
    manifest: ModelManifest,
    *,
    batches: Sequence[int] = LOOK_BATCHES,
    quick_bytes_max: int | None = QUICK_BYTES_MAX,
) -> Trial:
    """Find out whether a version can be served; blocks, milliseconds for a small one.

    Args:
        folder: Of the version.
        manifest: Of it, read before.
        batches: Rows to compute.
        quick_bytes_max: A larger file, or an engine that takes seconds, is not tried; None = all are.
    """
    from bellwire.agents.inference import GateFailedError, check_gate
    from bellwire.agents.inference.engines.model_file import read_model_file

    try:
        check_gate(manifest)
        size_bytes = len(read_model_file(folder, manifest).content)
    except GateFailedError as error:
        return Trial("; ".join(error.reasons))
    except CallerError as error:
        return Trial(error.message)
    if quick_bytes_max is not None:
        if manifest.engine not in QUICK_ENGINES:
            return Trial(untried=f"engine {manifest.engine} takes long")
        if size_bytes > quick_bytes_max:
            return Trial(untried=f"{bytes_text(size_bytes)} are more than is loaded for a look")
    return _loaded(folder, manifest, batches)


def _loaded(folder: Path, manifest: ModelManifest, batches: Sequence[int]) -> Trial:
    from bellwire.agents.inference.engines import EngineSettings, load_engine, warm_up
    from bellwire.agents.inference.errors import EngineMissingError

    try:
        engine = load_engine(folder, manifest, EngineSettings())
    except EngineMissingError as error:
        return Trial(untried=error.message)
    except BellwireError as error:
        return Trial(error.message)
    try:
        warm_up(engine, batches)
    except BellwireError as error:
        return Trial(error.message)
    finally:
        engine.close()
    return Trial()
