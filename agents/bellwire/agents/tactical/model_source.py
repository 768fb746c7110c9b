"""Where the answers of a tactical agent come from: a version with its parent, or a folder of models."""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bellwire.agents.inference.chain import FallbackChain
from bellwire.agents.inference.constant import hold
from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.gate import parent_of
from bellwire.agents.inference.guard import Guard, GuardSettings
from bellwire.agents.inference.model import read_manifest
from bellwire.agents.tactical.model_endpoint import BUNDLED_MODEL, open_endpoint
from bellwire.agents.tactical.onnx_graph import PROBABILITIES
from bellwire.agents.tactical.tactical_settings import TacticalAgentSettings
from bellwire.wire.errors import BellwireError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Who is asked, and what is known of it.

    Where no version answers, the endpoint answers as "hold", with each version's reason among `fallbacks`.
    """

    endpoint: Endpoint | None
    """None = there is none."""
    absent: str = ""
    """Reason of the error that left none."""
    folder: Path | None = None
    """Of the version whose training bars drift is measured against; None = elsewhere."""


NO_MODEL: Final = ModelSource(None, "NOT_STARTED")


async def open_source(options: TacticalAgentSettings, stack: AsyncExitStack) -> ModelSource:
    """Load what the settings name, and compute it once; without a model the rules are left.

    Args:
        options: Name a folder of models, one version's folder, or neither: the bundled one.
        stack: Closes what was opened.
    """
    try:
        if options.models:
            # Only here: its parts take 2 MB, and most agents have one version.
            from bellwire.agents.tactical.followed_models import open_models

            endpoint, folder = await open_models(options, stack)
            return ModelSource(endpoint, folder=folder)
        folder = Path(options.model_dir) if options.model_dir else BUNDLED_MODEL
        return ModelSource(open_version(folder, options.guard), folder=folder)
    except BellwireError as error:
        logger.warning("there is no tactical model to ask: %s", error)
        return ModelSource(None, error.reason)


def open_version(folder: Path, settings: GuardSettings | None = None) -> FallbackChain:
    """Return a version, its parent behind it where the folder beside still has that, and HOLD behind both.

    Args:
        folder: `<models>/<name>/<version>`, or a version's folder that was copied elsewhere.
        settings: Bounds of each step.

    Raises:
        BellwireError: As `open_endpoint`; only where no step could be loaded.
    """
    steps: list[Guard] = []
    first: BellwireError | None = None
    for each in (folder, *_parent_folder(folder)):
        name = f"{each.parent.name}:{each.name}"
        try:
            endpoint = open_endpoint(each)
            name = endpoint.manifests()[0].key
        except BellwireError as error:
            logger.warning("model %s is passed by: %s", name, error)
            endpoint, first = None, first or error
        steps.append(Guard(name, endpoint, settings))
    if first is not None and all(step.endpoint is None for step in steps):
        raise first
    return FallbackChain(steps, hold((PROBABILITIES,)))


def _parent_folder(folder: Path) -> tuple[Path, ...]:
    """Return the folder of the version it was quantized from, where that is still the same one."""
    try:
        parent = parent_of(read_manifest(folder))
        if parent is None:
            return ()
        place = folder.absolute().parent.parent / parent.name / str(parent.version)
        return (place,) if parent.is_still(read_manifest(place)) else ()
    except BellwireError:
        return ()
