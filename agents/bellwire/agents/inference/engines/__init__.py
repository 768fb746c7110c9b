"""Engines: what computes a model, by the name in its manifest; each imports its packages when it loads."""

from bellwire.agents.inference.engines.layers import Layer
from bellwire.agents.inference.engines.loading import ENGINES, load_engine
from bellwire.agents.inference.engines.numpy_engine import numpy_model
from bellwire.agents.inference.engines.outputs import check_outputs
from bellwire.agents.inference.engines.settings import EngineSettings
from bellwire.agents.inference.engines.warm_up import WarmRun, warm_up

__all__ = [
    "ENGINES",
    "EngineSettings",
    "Layer",
    "WarmRun",
    "check_outputs",
    "load_engine",
    "numpy_model",
    "warm_up",
]
