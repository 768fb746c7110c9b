"""The Open Inference Protocol (KServe v2), for callers that are not on the bus; needs `bellwire[kserve]`.

Its gRPC service and its HTTP paths answer from the same endpoint as the bus does.
"""

from bellwire.agents.inference.kserve.doors import KserveDoors
from bellwire.agents.inference.kserve.errors import KserveListenError

__all__ = ["KserveDoors", "KserveListenError"]
