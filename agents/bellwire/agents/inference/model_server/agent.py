"""A folder of models as an agent on the bus."""

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

from bellwire.agents.inference.agent import InferenceAgent, InferenceAgentSettings
from bellwire.agents.inference.endpoint import Endpoint
from bellwire.agents.inference.model_server.server import ModelServer
from bellwire.agents.inference.model_server.settings import ModelServerSettings
from bellwire.agents.inference.model_server.statistics import ServerStatistics
from bellwire.risk.json_settings import to_json
from bellwire.runtime import Outputs, tool
from bellwire.runtime.errors import AgentDefinitionError
from bellwire.wire.settings import setting


@dataclass(frozen=True, slots=True)
class ModelServerAgentSettings(InferenceAgentSettings):
    """Which folder is offered, and where.

    Raises:
        SettingsError: A value cannot be used.
    """

    models: str = field(
        default="models",
        metadata=setting(unit="", why="folder of models, of versions: <name>/<version>/model.json"),
    )
    server: ModelServerSettings = field(
        default=ModelServerSettings(), metadata=setting(unit="", why="as everywhere")
    )


class ModelServerAgent(InferenceAgent):
    """Offers every model and every chain of a folder as `infer.<name>`.

    The names are those of the start; what comes later is asked for by the name in the request.

    Attributes:
        server: What answers; None before the start.
        last: Its counters when the agent stopped; None before.
    """

    name = "models"
    default_settings = to_json(ModelServerAgentSettings())
    settings_type: ClassVar[type[InferenceAgentSettings]] = ModelServerAgentSettings

    server: ModelServer | None = None
    last: ServerStatistics | None = None

    async def open_endpoint(self, stack: AsyncExitStack) -> Endpoint:
        """Load the folder's models.

        Raises:
            InvalidModelError: The folder cannot be read.
        """
        options = self.options
        assert isinstance(options, ModelServerAgentSettings), "settings_type says so"
        server = ModelServer(Path(options.models), options.server)
        self.server = await stack.enter_async_context(server)
        return self.server

    def model_names(self) -> Sequence[str]:
        """Return the chains, and the models that the folder holds, loaded or not."""
        return () if self.server is None else self.server.names()

    async def on_stop(self) -> Outputs:
        """Keep the counters, then close."""
        if self.server is not None:
            self.last = self.server.statistics()
        return await super().on_stop()

    @tool(
        description="What a server of models counted: versions, rollouts, chains, cache, problems."
    )
    async def model_statistics(self) -> dict[str, object]:
        """Return all counters as they are now."""
        if self.server is None:
            raise AgentDefinitionError(f"{self.agent_id} is asked before on_start has run")
        return statistics_json(self.server.statistics())

    @tool(
        description="Count what a decision earned, or whether it agreed with a reference, for a model's A/B experiment."
    )
    async def record_outcome(
        self, model: str, key: str, returned: float | None = None, agrees: bool | None = None
    ) -> dict[str, object]:
        """Count one independent outcome; answers which side had the key.

        Raises:
            NoExperimentError: The model's rollout is not in stage AB.
            InvalidOutcomeError: There is neither a return nor a comparison, or the return is not finite.
        """
        if self.server is None:
            raise AgentDefinitionError(f"{self.agent_id} is asked before on_start has run")
        side = self.server.record_outcome(model, key, returned=returned, agrees=agrees)
        return {"side": side.value}


def statistics_json(statistics: ServerStatistics) -> dict[str, object]:
    """Return counters as JSON has them: null for what was not measured."""
    return {name: _json_value(value) for name, value in asdict(statistics).items()}


def _json_value(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _json_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    return value
