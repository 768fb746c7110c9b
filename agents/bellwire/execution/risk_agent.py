"""The risk gateway as an agent: signals in, decisions and orders out, reports back in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bellwire.execution.answers import Answers
from bellwire.execution.gateway import RiskGateway
from bellwire.execution.lockstep_gate import EXECUTIONS, LockstepGate
from bellwire.execution.order_route import OrderRoute
from bellwire.execution.signal_contract import reference_of
from bellwire.risk.decimal_text import decimal_text
from bellwire.risk.json_settings import from_json, to_json
from bellwire.risk.limits import RiskLimits
from bellwire.runtime import (
    Agent,
    MessageContext,
    Output,
    Outputs,
    Publication,
    on_watermark,
    subscribe,
    tool,
)
from bellwire.trading.v1.market_data_pb2 import Watermark
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.risk_pb2 import KillSwitch
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class RiskAgentSettings:
    """Topics, limits and route of one risk agent."""

    signals_topic: str = field(
        default="signals.tactical", metadata=setting(unit="", why="where rules and models publish")
    )
    executions_topic: str = field(
        default="executions.paper", metadata=setting(unit="", why="reports of the default adapter")
    )
    killswitch_topic: str = field(
        default="control.killswitch", metadata=setting(unit="", why="one for the whole system")
    )
    decisions_topic: str = field(
        default="risk.decisions", metadata=setting(unit="", why="one for the whole system")
    )
    orders_topic: str = field(
        default="orders.paper", metadata=setting(unit="", why="orders of the default adapter")
    )
    lockstep: bool = field(
        default=True,
        metadata=setting(
            unit="",
            why="a signal waits for the fills of its bar, so that the same data give the same orders; "
            "off where no adapter publishes watermarks",
        ),
    )
    limits: RiskLimits = field(default_factory=RiskLimits)
    route: OrderRoute = field(default_factory=OrderRoute)

    def __post_init__(self) -> None:
        check_settings(self)


class RiskAgent(Agent):
    """Turns signals into orders within limits; reads event time only."""

    name = "risk"
    version = "0.1.0"
    publishes = ("{decisions_topic}", "{orders_topic}")
    default_settings = to_json(RiskAgentSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(RiskAgentSettings, self.settings)
        self.gateway = RiskGateway(self.options.limits, self.options.route)
        self._gate = LockstepGate()
        self._answers = Answers()
        self._clock: dict[str, int] = {}  # event time by symbol

    @subscribe("{signals_topic}")
    async def on_signal(self, signal: Signal, context: MessageContext) -> Outputs:
        """Decide a signal; publish the decision, then what to take back, then the order."""
        answer = self._answers.given(context)
        if answer is not None:
            return answer
        if self.options.lockstep:
            await self._gate.turn(signal.symbol, signal.decision_time_unix_nano)
        now = self._advance(signal.symbol, signal.decision_time_unix_nano)
        outcome = self.gateway.decide(signal, reference_px=reference_of(signal), now_unix_nano=now)
        # The signal names the business transaction from here on, whoever began it.
        cause = replace(context.cause, correlation_id=signal.signal_id or context.correlation_id)
        options = self.options
        outputs: list[Output] = [
            Publication(options.decisions_topic, outcome.decision, cause=cause, time_unix_nano=now)
        ]
        orders = (*outcome.cancels, *(() if outcome.order is None else (outcome.order,)))
        outputs += [
            Publication(options.orders_topic, order, cause=cause, time_unix_nano=now)
            for order in orders
        ]
        return self._answers.give(context, outputs)

    @on_watermark("{signals_topic}")
    async def on_signals_complete(self, watermark: Watermark, context: MessageContext) -> Outputs:
        """Say that every order of this event time has gone out."""
        if self.options.lockstep:
            await self._gate.turn(watermark.symbol, watermark.time_unix_nano)
        return [
            Publication(topic, _passed_on(watermark, stage))
            for topic, stage in (
                (self.options.decisions_topic, "decisions"),
                (self.options.orders_topic, "orders"),
            )
        ]

    @subscribe("{executions_topic}")
    async def on_report(self, report: ExecutionReport, context: MessageContext) -> None:
        """Move orders and positions; each execution counts once."""
        self._advance(report.symbol, context.event_time_unix_nano)
        self.gateway.on_report(report)

    @on_watermark("{executions_topic}")
    async def on_executions_complete(self, watermark: Watermark, context: MessageContext) -> None:
        """Let the signals go that waited for these fills."""
        if watermark.stage != EXECUTIONS:
            return
        self._advance(watermark.symbol, watermark.time_unix_nano)
        if self.options.lockstep:
            end = watermark.end_of_stream
            self._gate.matched(watermark.symbol, watermark.time_unix_nano, end=end)

    @subscribe("{killswitch_topic}")
    async def on_kill_switch(self, switch: KillSwitch, context: MessageContext) -> None:
        """Halt, restrict or resume; takes effect at once, also in lockstep."""
        self.gateway.apply_kill_switch(switch)

    @tool(description="Positions and open orders of the risk gateway, and what it has decided.")
    async def risk_status(self) -> dict[str, object]:
        """Return positions, open quantities and counters."""
        exposure, counters = self.gateway.exposure, self.gateway.counters
        return {
            "policy_version": self.options.limits.policy_version,
            "signals": counters.signals,
            "replayed": counters.replayed,
            "orders": counters.orders,
            "reports": dict(counters.reports),
            "open_orders": exposure.open_order_count,
            "positions": [
                {**holder._asdict(), "signed_qty": decimal_text(exposure.position(holder))}
                for holder in sorted(exposure.holders)
            ],
        }

    def _advance(self, symbol: str, time_unix_nano: int) -> int:
        """Move the event clock of a symbol forward and return it; it never runs backwards."""
        now = max(self._clock.get(symbol, 0), time_unix_nano)
        if symbol in self._clock or len(self._clock) < self.options.limits.accounts_max:
            self._clock[symbol] = now
        return now


def _passed_on(watermark: Watermark, stage: str) -> Watermark:
    passed = Watermark()
    passed.CopyFrom(watermark)
    passed.stage = stage
    return passed
