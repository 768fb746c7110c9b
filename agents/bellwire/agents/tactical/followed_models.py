"""A folder of models in an agent's own process: whatever rollouts have in service there is asked."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bellwire.agents.inference.batching import BatchSettings
from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.model_server import HOLD, ModelServer, ModelServerSettings
from bellwire.agents.inference.repository import RepositorySettings
from bellwire.agents.inference.result_cache_settings import ResultCacheSettings
from bellwire.agents.tactical.tactical_settings import TacticalAgentSettings
from bellwire.wire.errors import BellwireError

WARM_ROWS: Final = 1  # An agent asks about one bar at a time.
RESULTS_KEPT: Final = 1  # The fewest there may be: it asks about no bar twice.


async def open_models(
    options: TacticalAgentSettings, stack: AsyncExitStack
) -> tuple[Endpoint, Path | None]:
    """Load a folder and follow it; return who answers, and the folder of the version in service now.

    Steps: what the rollout has for the symbol, then the parent of the version in service, then "hold".

    Args:
        options: Names folder and model, and the bounds of a step.
        stack: Closes it.

    Raises:
        InvalidModelError: The folder cannot be read.
    """
    name, root = options.model, Path(options.models)
    settings = ModelServerSettings(
        chains=(f"{name}={name},{name}:parent,{HOLD}",),
        batch=BatchSettings(run_on=options.infer_on),
        guard=options.guard,
        cache=ResultCacheSettings(entries_max=RESULTS_KEPT),
        repository=RepositorySettings(warm_batches=(WARM_ROWS,)),
    )
    server = await stack.enter_async_context(ModelServer(root, settings))
    version = _version_in_service(server, name)
    return server, root / name / str(version) if version else None


def _version_in_service(server: ModelServer, name: str) -> int:
    """Return its number; 0 = none is."""
    try:
        version = server.version_in_service(name)
    except BellwireError:
        return 0
    loaded = [each.version for each in server.manifests() if each.name == name]
    return version or max(loaded, default=0)
