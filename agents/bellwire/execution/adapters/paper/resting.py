"""One order at the paper venue, and the reports it gives rise to."""

from base64 import b32encode
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from typing import Final

from bellwire.execution.adapters.paper.settings import BPS, PaperSettings
from bellwire.execution.order_state import OrderLife, OrderState
from bellwire.risk.decimal_text import WIDE, decimal_text
from bellwire.trading.v1 import order_pb2
from bellwire.trading.v1.order_pb2 import ExecType, ExecutionReport, OrderRequest

ADAPTER: Final = "paper"
NANOS_PER_SECOND: Final = 1_000_000_000
_COMMISSION_STEP: Final = Decimal("0.00000001")  # finer than any currency's smallest unit
_DIGEST_CHARACTERS: Final = 20  # 100 bits of base32

IMMEDIATE: Final = frozenset({order_pb2.TIME_IN_FORCE_IOC, order_pb2.TIME_IN_FORCE_FOK})


@dataclass(slots=True)
class RestingOrder:
    """An accepted order until it ends."""

    request: OrderRequest
    sign: int
    """+1 buys, -1 sells."""
    limit: Decimal | None
    """Worst price; None = market order."""
    life: OrderLife
    sequence: int
    """Order of arrival at the venue: time priority."""
    accepted_at_unix_nano: int
    """Event time of acceptance; only bars that open at or after it may trade the order."""
    bars_worked: int = 0
    """Bars that could have traded it."""
    session: date | None = None
    """UTC date of the first bar that could trade it; DAY orders end with it."""
    reports: int = 0
    """Reports sent, the number in the next exec id."""

    @property
    def immediate(self) -> bool:
        """Whether only the first bar's open counts for it."""
        return self.request.time_in_force in IMMEDIATE

    @property
    def fill_or_kill(self) -> bool:
        """Whether it fills whole or not at all."""
        return self.request.time_in_force == order_pb2.TIME_IN_FORCE_FOK

    def report(
        self, exec_type: "ExecType.ValueType", time_unix_nano: int, text: str = ""
    ) -> ExecutionReport:
        """Return the next report of this order; its ids follow from the order's id alone."""
        number, self.reports = self.reports, self.reports + 1
        life = self.life
        report = report_on(self.request, exec_type, time_unix_nano, text)
        report.exec_id = f"{ADAPTER}-{self.request.cl_ord_id}-{number}"
        report.order_id = f"{ADAPTER}-{self.request.cl_ord_id}"
        report.ord_status = order_pb2.OrdStatus.ValueType(life.state)
        report.cum_qty = decimal_text(life.cum_qty)
        report.leaves_qty = decimal_text(life.leaves_qty)
        report.avg_px = decimal_text(life.avg_px)
        return report

    def fill(
        self, quantity: Decimal, price: Decimal, time_unix_nano: int, settings: PaperSettings
    ) -> ExecutionReport:
        """Trade a part and return its report."""
        self.life.fill(quantity, price)
        report = self.report(order_pb2.EXEC_TYPE_TRADE, time_unix_nano)
        report.last_qty = decimal_text(quantity)
        report.last_px = decimal_text(price)
        commission = quantity * price * settings.commission_bps / BPS
        rounded = commission.quantize(_COMMISSION_STEP, ROUND_CEILING, WIDE)
        report.commission = decimal_text(rounded)
        return report

    def end(self, state: OrderState, time_unix_nano: int, text: str) -> ExecutionReport:
        """End what is left of it, CANCELED or EXPIRED, and return the report."""
        self.life.transition(state)
        canceled = state is OrderState.CANCELED
        exec_type = order_pb2.EXEC_TYPE_CANCELED if canceled else order_pb2.EXEC_TYPE_EXPIRED
        return self.report(exec_type, time_unix_nano, text)


def report_on(
    request: OrderRequest, exec_type: "ExecType.ValueType", time_unix_nano: int, text: str
) -> ExecutionReport:
    """Return a report with everything that only repeats the order."""
    return ExecutionReport(
        exec_type=exec_type,
        cl_ord_id=request.cl_ord_id,
        signal_id=request.signal_id,
        strategy_id=request.strategy_id,
        symbol=request.symbol,
        side=request.side,
        order_qty=request.order_qty,
        text=text,
        transact_time_unix_nano=time_unix_nano,
        arrival_px=request.arrival_px,
        adapter=ADAPTER,
        paper=True,
        account=request.account,
        tenant=request.tenant,
        last_qty="0",
        last_px="0",
        cum_qty="0",
        leaves_qty="0",
        avg_px="0",
        commission="0",
    )


def content_of(request: OrderRequest) -> bytes:
    """Return a digest that tells two orders of one id apart."""
    return sha256(request.SerializeToString(deterministic=True)).digest()


def rejection(
    request: OrderRequest, time_unix_nano: int, ord_rej_reason: int, text: str
) -> ExecutionReport:
    """Return the refusal of an order that was never booked; the same order gives the same id."""
    report = report_on(request, order_pb2.EXEC_TYPE_REJECTED, time_unix_nano, text)
    digest = b32encode(content_of(request)).decode("ascii")[:_DIGEST_CHARACTERS]
    report.exec_id = f"{ADAPTER}-{digest}-R"
    report.ord_status = order_pb2.ORD_STATUS_REJECTED
    report.ord_rej_reason = ord_rej_reason
    return report


def utc_date(time_unix_nano: int) -> date:
    """Return the UTC calendar date of an event time."""
    return datetime.fromtimestamp(time_unix_nano // NANOS_PER_SECOND, UTC).date()
