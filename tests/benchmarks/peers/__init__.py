"""The systems that are measured, in the order of the tables."""

from typing import Final

from tests.benchmarks.peers.grpc_unary import GrpcUnary
from tests.benchmarks.peers.nats import Nats
from tests.benchmarks.peers.peer import Broker, Peer, PeerPublisher, Take

PEERS: Final[dict[str, Peer]] = {peer.name: peer for peer in (Nats(), GrpcUnary())}

__all__ = ["PEERS", "Broker", "Peer", "PeerPublisher", "Take"]
