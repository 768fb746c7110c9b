"""The pre-trade gateway: a signal becomes at most one order, or a reason why not.

Sans-I/O: every call is one atomic step, so two signals can never both use the same room. The order
of things is check, reserve, remember, send; reports give reservations back and move positions. What
cannot be understood is denied, and a fill that cannot be read halts its instrument.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bellwire.execution.order_route import OrderRoute
from bellwire.execution.sent_orders import ReportEffect, SentOrders
from bellwire.execution.signal_contract import (
    ECHOED_CHARACTERS_MAX,
    content_of,
    holder_of,
    problem_of,
    refusal_of,
)
from bellwire.execution.sizing import Sizing, size_of
from bellwire.risk.checks import Ask, Evaluation, evaluate
from bellwire.risk.decimal_text import ZERO, decimal_text
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
from bellwire.trading.v1 import risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport, OrderCancelRequest, OrderRequest
from bellwire.trading.v1.risk_pb2 import KillSwitch, RiskDecision
from bellwire.trading.v1.signal_pb2 import Signal

UNTRUSTED: Final = frozenset({"STALE_SIGNAL", "DUPLICATE_ORDER"})
"""Denials of the signal itself: then it takes back no open orders either; after others it does."""

_CANCEL_PASSES: Final = Evaluation(risk_pb2.RISK_VERDICT_ACCEPT, "", ZERO, ())


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
        problem = problem_of(signal)
        if problem:
            version = self.limits.policy_version
            return Outcome(refusal_of(signal, problem, now_unix_nano, version))
        cl_ord_id, content = self.route.order_id(signal.signal_id), content_of(signal)
        time = signal.decision_time_unix_nano
        recall = self._decisions.recall(cl_ord_id, content, time)
        if recall is Recall.SAME:
            self.counters.replayed += 1
            return Outcome(self._decisions.replay(cl_ord_id))
        if signal.action == signal_pb2.SIGNAL_ACTION_CANCEL:
            outcome = self._cancel(signal, now_unix_nano)
        else:
            outcome = self._order(signal, recall, reference_px, now_unix_nano)
        if recall is Recall.NEW:
            self._decisions.store(cl_ord_id, content, time, outcome.decision)
        return outcome

    def on_report(self, report: ExecutionReport) -> ReportEffect:
        """Take an execution report; each exec id counts once, whoever sent the order.

        A fill whose numbers cannot be read leaves the position unknown: its instrument is halted.
        """
        effect = self._orders.apply(report)
        if effect is ReportEffect.UNREADABLE:
            scope = SYMBOL_PREFIX + report.symbol if report.symbol else GLOBAL_SCOPE
            halt = KillSwitch(scope=scope, state=risk_pb2.KILL_SWITCH_STATE_HALTED)
            with suppress(TooManyScopesError):  # everything is halted then
                self._switches.apply(halt)
        counts = self.counters.reports
        counts[effect.name] = counts.get(effect.name, 0) + 1
        return effect

    def _order(
        self, signal: Signal, recall: Recall, reference_px: Decimal | None, now: int
    ) -> Outcome:
        holder = holder_of(signal)
        sizing = size_of(signal, self.exposure, holder, self.limits.base_qty)
        ask = self._ask(signal, holder, sizing, recall, reference_px, now)
        result = evaluate(ask, self.limits)
        trusted = result.reason_code not in UNTRUSTED
        cancels = self._cancels(sizing.cancel_ids, holder) if trusted else ()
        decision = self._decision(signal, ask.quantity, result, now)
        if result.verdict == risk_pb2.RISK_VERDICT_DENY:
            return Outcome(decision, None, cancels)
        order = self.route.order(signal, sizing.sign, result.approved_qty, reference_px, now)
        order.reduce_only = ask.reduce_only or ask.trading_state is TradingState.REDUCING
        decision.cl_ord_id = order.cl_ord_id
        self._orders.add(order, holder, sizing.sign, result.approved_qty)
        self._bucket(signal.strategy_id).take(now)
        self.counters.orders += 1
        return Outcome(decision, order, cancels)

    def _cancel(self, signal: Signal, now: int) -> Outcome:
        """Take back the strategy's open orders; passes also when trading is halted."""
        holder = holder_of(signal)
        open_ids = [order.cl_ord_id for order in self.exposure.orders_of(holder)]
        decision = self._decision(signal, ZERO, _CANCEL_PASSES, now)
        return Outcome(decision, None, self._cancels(open_ids, holder))

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
        exposure, sign = self.exposure, sizing.sign
        net, working = exposure.net(holder), exposure.working(holder, sign)
        has_room = exposure.holder_count < self.limits.accounts_max
        return Ask(
            sign=sign,
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
            reducible=max(ZERO, -sign * net - working),
            worst_position=net + sign * working,
            open_orders=exposure.open_order_count,
            tokens=self._tokens(signal.strategy_id, now),
            holder_room=has_room or exposure.knows(holder),
        )

    def _decision(
        self, signal: Signal, asked: Decimal | None, result: Evaluation, now: int
    ) -> RiskDecision:
        unread = signal.target_qty[:ECHOED_CHARACTERS_MAX]
        return RiskDecision(
            signal_id=signal.signal_id,
            verdict=result.verdict,
            checks=result.checks,
            reason_code=result.reason_code,
            requested_qty=unread if asked is None else decimal_text(asked),
            approved_qty=decimal_text(result.approved_qty),
            policy_version=self.limits.policy_version,
            symbol=signal.symbol,
            time_unix_nano=now,
        )

    def _cancels(self, cl_ord_ids: Iterable[str], holder: Holder) -> tuple[OrderCancelRequest, ...]:
        side_of = self._orders.side_of
        return tuple(self.route.cancel(name, holder, side_of(name)) for name in cl_ord_ids)

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
