"""Which model the tactical policy of a demo asks."""

from __future__ import annotations

from pathlib import Path

from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL, open_endpoint
from bellwire.cli.faults import UsageFault
from bellwire.wire.errors import BellwireError

__all__ = ["model_folder"]


def model_folder(given: Path | None) -> Path:
    """Return the folder given, or the bundled one; absolute, since agents start elsewhere.

    Raises:
        UsageFault: No model lies there, or none that may decide: the agent would go by the rules in its
            place, and only its log would say so.
    """
    folder = (given or BUNDLED_MODEL).absolute()
    try:
        open_endpoint(folder)
    except BellwireError as error:
        remedy = "give --model DIR with a model.json in it, or --policy rules"
        raise UsageFault(f"--policy tactical needs a model: {error.message}; {remedy}") from None
    return folder
