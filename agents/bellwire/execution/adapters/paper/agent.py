"""The paper venue as an agent: orders and bars in, execution reports out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bellwire.execution.adapters.paper.matching import PaperVenue
from bellwire.execution.adapters.paper.settings import PaperSettings
from bellwire.execution.answers import Answers
from bellwire.execution.order_state import ENDED_STATES, order_state
from bellwire.risk.json_settings import from_json, to_json
from bellwire.runtime import (
    Agent,
    Cause,
    MessageContext,
    Output,
    Outputs,
    Publication,
    on_watermark,
    subscribe,
)
from bellwire.trading.v1.market_data_pb2 import Bar, Watermark
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderCancelRequest, OrderRequest
from bellwire.wire.settings import check_settings, setting


@dataclass(frozen=True, slots=True)
class PaperAgentSettings:
    """Topics and assumptions of one paper adapter."""

    bars_topic: str = field(
        default="bars.1h", metadata=setting(unit="", why="the interval of the bundled EUR/USD bars")
    )
    orders_topic: str = field(
        default="orders.paper", metadata=setting(unit="", why="named after the adapter")
    )
    executions_topic: str = field(
        default="executions.paper", metadata=setting(unit="", why="named after the adapter")
    )
    venue: PaperSettings = field(default_factory=PaperSettings)

    def __post_init__(self) -> None:
        check_settings(self)


class PaperAdapter(Agent):
    """Trades orders on paper. Takes replayed messages too: nothing real can happen here."""

    name = "paper"
    version = "0.1.0"
    publishes = ("{executions_topic}",)
    default_settings = to_json(PaperAgentSettings())

    def __init__(self, settings: Mapping[str, object] | None = None, *, agent_id: str = "") -> None:
        super().__init__(settings, agent_id=agent_id)
        self.options = from_json(PaperAgentSettings, self.settings)
        self.venue = PaperVenue(self.options.venue)
        self._answers = Answers()
        self._causes: dict[str, Cause] = {}  # of open orders, so as many as the venue holds

    @subscribe("{bars_topic}")
    async def on_bar(self, bar: Bar, context: MessageContext) -> Outputs:
        """Trade what rests against the bar."""
        answer = self._answers.given(context)
        if answer is not None:
            return answer
        return self._answers.give(context, self._publish(self.venue.on_bar(bar)))

    @subscribe("{orders_topic}")
    async def on_order(self, order: OrderRequest, context: MessageContext) -> Outputs:
        """Book an order and acknowledge it, or reject it."""
        answer = self._answers.given(context)
        if answer is not None:
            return answer
        reports = self.venue.submit(order)
        if self.venue.request_of(order.cl_ord_id) is not None:
            self._causes.setdefault(order.cl_ord_id, context.cause)
        outputs = [Publication("", report, cause=context.cause) for report in reports]
        return self._answers.give(context, outputs)

    @subscribe("{orders_topic}")
    async def on_cancel(self, request: OrderCancelRequest, context: MessageContext) -> Outputs:
        """Take an order back."""
        answer = self._answers.given(context)
        if answer is not None:
            return answer
        return self._answers.give(context, self._publish(self.venue.cancel(request)))

    @on_watermark("{bars_topic}")
    async def on_bars_complete(self, watermark: Watermark, context: MessageContext) -> Outputs:
        """Say that every fill of this bar has been published."""
        return _staged(watermark, "executions.matched")

    @on_watermark("{orders_topic}")
    async def on_orders_complete(self, watermark: Watermark, context: MessageContext) -> Outputs:
        """Say that every order of this event time is booked; at the very end, expire the rest."""
        if not watermark.end_of_stream:
            return _staged(watermark, "executions.accepted")
        answer = self._answers.given(context)
        if answer is not None:
            return answer
        reports = self._publish(self.venue.end_of_stream(watermark.symbol))
        return self._answers.give(context, [*reports, _staged(watermark, "executions.accepted")])

    def _publish(self, reports: Iterable[ExecutionReport]) -> list[Output]:
        """Make each report a consequence of its order, whatever made it happen now."""
        outputs: list[Output] = []
        for report in reports:
            ended = order_state(report.ord_status) in ENDED_STATES
            causes = self._causes
            cause = (causes.pop if ended else causes.get)(report.cl_ord_id, None)
            outputs.append(Publication("", report, cause=cause))
        return outputs


def _staged(watermark: Watermark, stage: str) -> Publication:
    staged = Watermark()
    staged.CopyFrom(watermark)
    staged.stage = stage
    return Publication("", staged)
