"""A folder of models as one endpoint: loaded, batched, rolled out, cached, and with steps to fall back on."""

from bellwire.agents.inference.constant import HOLD
from bellwire.agents.inference.model_server.chain_plan import (
    ChainPlan,
    ChainPlanError,
    parse_chain,
)
from bellwire.agents.inference.model_server.server import ModelServer
from bellwire.agents.inference.model_server.settings import ModelServerSettings
from bellwire.agents.inference.model_server.statistics import (
    CacheStatistics,
    ChainStatistics,
    RolloutStatistics,
    ServerStatistics,
    StepStatistics,
    VersionStatistics,
)

__all__ = [
    "HOLD",
    "CacheStatistics",
    "ChainPlan",
    "ChainPlanError",
    "ChainStatistics",
    "ModelServer",
    "ModelServerSettings",
    "RolloutStatistics",
    "ServerStatistics",
    "StepStatistics",
    "VersionStatistics",
    "parse_chain",
]
