"""The agent of `inference-bus`; a module of its own, for it is what its process imports."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from bellwire.agents.inference import Endpoint
from bellwire.agents.inference.agent import InferenceAgent
from bellwire.agents.inference.batching import Batcher
from bellwire.agents.inference.engines import EngineSettings, load_engine, warm_up
from bellwire.agents.inference.model import read_manifest

WARM_ROWS = (1, 100)


class TacticalModel(InferenceAgent):
    """Serves one version from a folder, through the batcher."""

    name = "tactical-model"

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        """Take the settings of an inference agent, and `folder`: where the version is."""
        given = dict(settings or {})
        self._folder = Path(str(given.pop("folder", "")))
        super().__init__(given, agent_id=agent_id)

    async def open_endpoint(self, stack: AsyncExitStack) -> Endpoint:
        """Load, warm up, and put the batcher before it."""
        engine = load_engine(self._folder, read_manifest(self._folder), EngineSettings())
        stack.callback(engine.close)
        warm_up(engine, WARM_ROWS)
        batcher = Batcher(engine)
        stack.push_async_callback(batcher.close)
        return batcher
