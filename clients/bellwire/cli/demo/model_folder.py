"""Which model the tactical policy of a demo asks."""

from __future__ import annotations

from pathlib import Path

from bellwire.agents.inference import InvalidModelError, read_manifest
from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL
from bellwire.cli.faults import UsageFault

__all__ = ["model_folder"]


def model_folder(given: Path | None) -> Path:
    """Return the folder given, or the bundled one; absolute, since agents start elsewhere.

    Raises:
        UsageFault: No model lies there; the agent would only decide by the rules in its place.
    """
    folder = (given or BUNDLED_MODEL).absolute()
    try:
        read_manifest(folder)
    except InvalidModelError as error:
        remedy = "give --model DIR with a model.json in it, or --policy rules"
        raise UsageFault(f"--policy tactical needs a model: {error.message}; {remedy}") from None
    return folder
