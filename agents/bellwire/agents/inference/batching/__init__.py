"""Dynamic batching: requests that meet while the engine is busy, or in one turn of the loop, are computed together."""

from bellwire.agents.inference.batching.batcher import Batcher
from bellwire.agents.inference.batching.errors import InferenceQueueFullError
from bellwire.agents.inference.batching.settings import BatchSettings
from bellwire.agents.inference.batching.statistics import BatchStatistics

__all__ = ["BatchSettings", "BatchStatistics", "Batcher", "InferenceQueueFullError"]
