"""From a signal to reports of its fills: gateway, order states, adapters, quality."""

from bellwire.execution.gateway import Outcome, RiskGateway
from bellwire.execution.order_id import client_order_id
from bellwire.execution.order_route import OrderRoute
from bellwire.execution.order_state import (
    Anomaly,
    IllegalOrderTransitionError,
    OrderLife,
    OrderState,
)
from bellwire.execution.quality import QualityCollector, QualityReport
from bellwire.execution.risk_agent import RiskAgent, RiskAgentSettings
from bellwire.execution.sent_orders import ReportEffect

__all__ = [
    "Anomaly",
    "IllegalOrderTransitionError",
    "OrderLife",
    "OrderRoute",
    "OrderState",
    "Outcome",
    "QualityCollector",
    "QualityReport",
    "ReportEffect",
    "RiskAgent",
    "RiskAgentSettings",
    "RiskGateway",
    "client_order_id",
]
