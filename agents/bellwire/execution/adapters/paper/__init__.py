"""The paper venue: a real matching engine on bars, pessimistic and reproducible."""

from bellwire.execution.adapters.paper.agent import PaperAdapter, PaperAgentSettings
from bellwire.execution.adapters.paper.matching import PaperVenue
from bellwire.execution.adapters.paper.scale import MarketScale, NoVolumeError, scale_of
from bellwire.execution.adapters.paper.settings import PaperSettings

__all__ = [
    "MarketScale",
    "NoVolumeError",
    "PaperAdapter",
    "PaperAgentSettings",
    "PaperSettings",
    "PaperVenue",
    "scale_of",
]
