"""Agents that are killed by `restart.py`; a module of their own, for it is what their processes import."""

import numpy as np
import onnxruntime

from bellwire.runtime import Agent, tool


class Loaded(Agent):
    """Has imported what an agent with a model imports."""

    name = "loaded"

    @tool()
    async def libraries(self) -> dict[str, str]:
        """Return the versions of what it imported."""
        return {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
