"""The pre-trade gateway: a signal becomes at most one order, or a reason why not.

Sans-I/O: every call is one atomic step, so two signals can never both use the same room. The order
of things is check, reserve, remember, send; reports give reservations back and move positions. What
cannot be understood is denied, and a fill that cannot be read halts its instrument.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Final

from bellwire.execution.order_id import DEFAULT_PREFIX, client_order_id
from bellwire.execution.sent_orders import ReportEffect, SentOrders
from bellwire.execution.sizing import Sizing, size_of
from bellwire.risk.checks import Ask, evaluate
from bellwire.risk.decimal_text import decimal_text, parse_decimal
from bellwire.risk.decision_log import DecisionLog, Recall
from bellwire.risk.exposure import Exposure, Holder
from bellwire.risk.limits import RiskLimits
from bellwire.risk.rate import TokenBucket
from bellwire.risk.trading_state import (
    GLOBAL_SCOPE,
    SYMBOL_PREFIX,
    KillSwitches,
    TooManyScopesError,
    TradingState,
)
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderCancelRequest, OrderRequest
from bellwire.trading.v1.risk_pb2 import KillSwitch, RiskCheck, RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal
from bellwire.wire.settings import check_settings, setting

ORDER_LEG: Final = "order"
CANCEL_LEG: Final = "cancel"
ID_BYTES_MAX: Final = 128  # the contract's bound on signal and strategy ids
SYMBOL_BYTES_MAX: Final = 256  # a message subject holds no more
DECIMAL_CHARACTERS_MAX: Final = 64  # far above a decimal's 26: only what is echoed is bounded

UNTRUSTED: Final = frozenset({"STALE_SIGNAL", "DUPLICATE_ORDER"})
"""Denials of the signal itself: then it takes back no open orders either; after others it does."""

_TIME_IN_FORCE: Final = {
    "DAY": order_pb2.TIME_IN_FORCE_DAY,
    "GTC": order_pb2.TIME_IN_FORCE_GTC,
    "IOC": order_pb2.TIME_IN_FORCE_IOC,
    "FOK": order_pb2.TIME_IN_FORCE_FOK,
}


@dataclass(frozen=True, slots=True)
class OrderRoute:
    """How approved quantities are sent: market orders to one adapter."""

    adapter: str = field(
        default="paper", metadata=setting(unit="", why="the only adapter that needs no account")
    )
    time_in_force: str = field(
        default="DAY",
        metadata=setting(
            unit="",
            why="what the day does not fill ends with it instead of trading on old reasons",
            choices=("DAY", "GTC", "IOC", "FOK"),
        ),
    )
    order_id_prefix: str = field(
        default=DEFAULT_PREFIX,
        metadata=setting(unit="", why="tells our orders at a shared venue account"),
    )

    def __post_init__(self) -> None:
        check_settings(self)
        client_order_id("", ORDER_LEG, self.order_id_prefix)  # refuses a bad prefix at the start


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one signal led to."""

    decision: RiskDecision
    """Always one, also when nothing is sent."""
    order: OrderRequest | None = None
    """The order to send, already reserved for."""
    cancels: tuple[OrderCancelRequest, ...] = ()
    """Orders to take back; sent before the new one."""


@dataclass(slots=True)
class GatewayCounters:
    """What the gateway did since start."""

    signals: int = 0
    """Signals decided, replays included."""
    replayed: int = 0
    """Signals that got their stored decision."""
    orders: int = 0
    """Orders sent."""
    reports: dict[str, int] = field(default_factory=dict)
    """Execution reports by effect."""


class RiskGateway:
    """Decide signals, keep positions. State lives in memory; execution reports rebuild positions."""

    def __init__(self, limits: RiskLimits | None = None, route: OrderRoute | None = None) -> None:
        self.limits: Final = limits or RiskLimits()
        self.route: Final = route or OrderRoute()
        self.counters: Final = GatewayCounters()
        self.exposure: Final = Exposure()
        self._switches = KillSwitches()
        self._decisions = DecisionLog(self.limits.decisions_kept_max)
        self._orders = SentOrders(self.exposure, self.limits.exec_ids_kept_max)
        self._buckets: dict[str, TokenBucket] = {}

    def apply_kill_switch(self, switch: KillSwitch) -> None:
        """Halt, restrict or resume a scope.

        Raises:
            InvalidKillSwitchError: unknown scope or state; nothing has changed.
            TooManyScopesError: no room for another scope; everything is halted.
        """
        self._switches.apply(switch)

    def decide(
        self, signal: Signal, *, reference_px: Decimal | None, now_unix_nano: int
    ) -> Outcome:
        """Check a signal and reserve what it may trade.

        Args:
            signal: What an agent wants.
            reference_px: Price its value is computed from; None denies everything but cancels.
            now_unix_nano: Event time of the gateway, never the wall clock.
        """
        self.counters.signals += 1
        problem = _problem(signal)
        if problem:
            return Outcome(_malformed(signal, problem, now_unix_nano, self.limits.policy_version))
        cl_ord_id = client_order_id(signal.signal_id, ORDER_LEG, self.route.order_id_prefix)
        content = _content(signal)
        recall = self._decisions.recall(cl_ord_id, content, signal.decision_time_unix_nano)
        if recall is Recall.SAME:
            self.counters.replayed += 1
            return Outcome(self._decisions.replay(cl_ord_id))
        if signal.action == signal_pb2.SIGNAL_ACTION_CANCEL:
            outcome = self._cancel(signal, now_unix_nano)
        else:
            outcome = self._order(signal, cl_ord_id, recall, reference_px, now_unix_nano)
        if recall is Recall.NEW:
            time = signal.decision_time_unix_nano
            self._decisions.store(cl_ord_id, content, time, outcome.decision)
        return outcome

    def on_report(self, report: ExecutionReport) -> ReportEffect:
        """Take an execution report; each exec id counts once, whoever sent the order.

        A fill whose numbers cannot be read leaves the position unknown: its instrument is halted.
        """
        effect = self._orders.apply(report)
        if effect is ReportEffect.UNREADABLE:
            scope = SYMBOL_PREFIX + report.symbol if report.symbol else GLOBAL_SCOPE
            with suppress(TooManyScopesError):  # everything is halted then
                self._switches.apply(
                    KillSwitch(scope=scope, state=risk_pb2.KILL_SWITCH_STATE_HALTED)
                )
        counts = self.counters.reports
        counts[effect.name] = counts.get(effect.name, 0) + 1
        return effect

    def _order(
        self,
        signal: Signal,
        cl_ord_id: str,
        recall: Recall,
        reference_px: Decimal | None,
        now: int,
    ) -> Outcome:
        holder = _holder(signal)
        sizing = size_of(signal, self.exposure, holder, self.limits.base_qty)
        ask = self._ask(signal, holder, sizing, recall, reference_px, now)
        result = evaluate(ask, self.limits)
        denied = result.verdict == risk_pb2.RISK_VERDICT_DENY
        decision = RiskDecision(
            cl_ord_id="" if denied else cl_ord_id,
            signal_id=signal.signal_id,
            verdict=result.verdict,
            checks=result.checks,
            reason_code=result.reason_code,
            requested_qty=signal.target_qty if ask.quantity is None else decimal_text(ask.quantity),
            approved_qty=decimal_text(result.approved_qty),
            policy_version=self.limits.policy_version,
            symbol=signal.symbol,
            time_unix_nano=now,
        )
        trusted = result.reason_code not in UNTRUSTED
        cancels = self._cancels(sizing.cancel_ids, holder) if trusted else ()
        if denied:
            return Outcome(decision, None, cancels)
        order = self._request(signal, cl_ord_id, sizing.sign, result.approved_qty, now)
        order.reduce_only = ask.reduce_only or ask.trading_state is TradingState.REDUCING
        order.arrival_px = "" if reference_px is None else decimal_text(reference_px)
        self._orders.add(order, holder, sizing.sign, result.approved_qty)
        self._bucket(signal.strategy_id).take(now)
        self.counters.orders += 1
        return Outcome(decision, order, cancels)

    def _ask(
        self,
        signal: Signal,
        holder: Holder,
        sizing: Sizing,
        recall: Recall,
        reference_px: Decimal | None,
        now: int,
    ) -> Ask:
        state, scope = self._switches.state_for(signal.strategy_id, signal.symbol)
        exposure, limits = self.exposure, self.limits
        net = exposure.net(holder)
        working = exposure.working(holder, sizing.sign)
        return Ask(
            sign=sizing.sign,
            quantity=sizing.quantity,
            relative=sizing.relative,
            reduce_only=sizing.reduce_only,
            reference_px=reference_px,
            signal_time_unix_nano=signal.decision_time_unix_nano,
            valid_until_unix_nano=signal.valid_until_unix_nano,
            now_unix_nano=now,
            recall=recall,
            trading_state=state,
            trading_scope=scope,
            reducible=max(Decimal(0), -sizing.sign * net - working),
            worst_position=net + sizing.sign * working,
            open_orders=exposure.open_order_count,
            tokens=self._tokens(signal.strategy_id, now),
            holder_room=exposure.knows(holder) or exposure.holder_count < limits.accounts_max,
        )

    def _request(
        self, signal: Signal, cl_ord_id: str, sign: int, quantity: Decimal, now: int
    ) -> OrderRequest:
        return OrderRequest(
            cl_ord_id=cl_ord_id,
            signal_id=signal.signal_id,
            strategy_id=signal.strategy_id,
            symbol=signal.symbol,
            side=signal_pb2.SIDE_BUY if sign > 0 else signal_pb2.SIDE_SELL,
            ord_type=order_pb2.ORD_TYPE_MARKET,
            time_in_force=_TIME_IN_FORCE[self.route.time_in_force],
            order_qty=decimal_text(quantity),
            arrival_time_unix_nano=now,
            tenant=signal.tenant,
            account=signal.account,
            adapter=self.route.adapter,
        )

    def _cancel(self, signal: Signal, now: int) -> Outcome:
        """Take back the strategy's open orders; passes also when trading is halted."""
        holder = _holder(signal)
        cancels = self._cancels((o.cl_ord_id for o in self.exposure.orders_of(holder)), holder)
        decision = RiskDecision(
            signal_id=signal.signal_id,
            verdict=risk_pb2.RISK_VERDICT_ACCEPT,
            requested_qty="0",
            approved_qty="0",
            policy_version=self.limits.policy_version,
            symbol=signal.symbol,
            time_unix_nano=now,
        )
        return Outcome(decision, None, cancels)

    def _cancels(self, cl_ord_ids: Iterable[str], holder: Holder) -> tuple[OrderCancelRequest, ...]:
        return tuple(
            OrderCancelRequest(
                cl_ord_id=client_order_id(cl_ord_id, CANCEL_LEG, self.route.order_id_prefix),
                orig_cl_ord_id=cl_ord_id,
                symbol=holder.symbol,
                side=self._orders.side_of(cl_ord_id),
                account=holder.account,
            )
            for cl_ord_id in cl_ord_ids
        )

    def _tokens(self, strategy_id: str, now: int) -> int:
        if strategy_id not in self._buckets and len(self._buckets) >= self.limits.accounts_max:
            return 0
        return self._bucket(strategy_id).tokens(now)

    def _bucket(self, strategy_id: str) -> TokenBucket:
        bucket = self._buckets.get(strategy_id)
        if bucket is None:
            limits = self.limits
            bucket = TokenBucket(
                burst=limits.orders_burst, interval_nanos=limits.order_interval_nanos
            )
            self._buckets[strategy_id] = bucket
        return bucket


def reference_of(signal: Signal) -> Decimal | None:
    """Return the price the agent saw when it decided, or None when it states none."""
    price = parse_decimal(signal.decision_px)
    return price if price is not None and price > 0 else None


def _holder(signal: Signal) -> Holder:
    return Holder(signal.account, signal.strategy_id, signal.symbol)


def _problem(signal: Signal) -> str:
    """Say what makes a signal unusable whatever the limits are; empty when nothing does."""
    for name, text, limit in (
        ("signal_id", signal.signal_id, ID_BYTES_MAX),
        ("strategy_id", signal.strategy_id, ID_BYTES_MAX),
        ("symbol", signal.symbol, SYMBOL_BYTES_MAX),
    ):
        size = len(text.encode())
        if not 1 <= size <= limit:
            return f"{name} has {size} bytes, 1 to {limit} are allowed"
    if len(signal.account.encode()) > ID_BYTES_MAX:
        return f"account has more than {ID_BYTES_MAX} bytes"
    if signal.action not in signal_pb2.SignalAction.values() or not signal.action:
        return f"action {signal.action} is unknown"
    sided = signal.action != signal_pb2.SIGNAL_ACTION_CANCEL
    if sided and signal.side not in (signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL):
        return f"side {signal.side} is unknown"
    return ""


def _malformed(signal: Signal, problem: str, now: int, policy_version: str) -> RiskDecision:
    check = RiskCheck(code="SIGNAL_INVALID", limit="the contract of Signal", observed=problem)
    return RiskDecision(
        signal_id=signal.signal_id[:ID_BYTES_MAX],
        verdict=risk_pb2.RISK_VERDICT_DENY,
        checks=[check],
        reason_code=check.code,
        requested_qty=signal.target_qty[:DECIMAL_CHARACTERS_MAX],
        approved_qty="0",
        policy_version=policy_version,
        symbol=signal.symbol[:SYMBOL_BYTES_MAX],
        time_unix_nano=now,
    )


def _content(signal: Signal) -> bytes:
    """Digest everything that shapes the order; who sent the signal and why does not."""
    order = Signal(
        signal_id=signal.signal_id,
        strategy_id=signal.strategy_id,
        symbol=signal.symbol,
        action=signal.action,
        side=signal.side,
        target_qty=signal.target_qty,
        decision_time_unix_nano=signal.decision_time_unix_nano,
        valid_until_unix_nano=signal.valid_until_unix_nano,
        decision_px=signal.decision_px,
        tenant=signal.tenant,
        account=signal.account,
    )
    return sha256(order.SerializeToString(deterministic=True)).digest()
