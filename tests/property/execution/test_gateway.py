from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from bellwire.execution.gateway import RiskGateway
from bellwire.execution.signal_contract import reference_of
from bellwire.risk.exposure import Holder
from bellwire.risk.limits import RiskLimits
from bellwire.trading.v1 import order_pb2, risk_pb2, signal_pb2
from bellwire.trading.v1.order_pb2 import ExecutionReport
from bellwire.trading.v1.signal_pb2 import Signal

LIMITS = RiskLimits(
    base_qty=Decimal(7),
    order_qty_max=Decimal(40),
    position_qty_max=Decimal(30),
    orders_per_hour=3_600,
    orders_burst=20,
)
ACTIONS = [
    signal_pb2.SIGNAL_ACTION_ENTER,
    signal_pb2.SIGNAL_ACTION_EXIT,
    signal_pb2.SIGNAL_ACTION_TARGET,
    signal_pb2.SIGNAL_ACTION_CANCEL,
]
SIGNALS = st.tuples(
    st.just("signal"),
    st.integers(0, 15),  # few ids, so that duplicates and conflicts happen
    st.sampled_from(ACTIONS),
    st.sampled_from([signal_pb2.SIDE_BUY, signal_pb2.SIDE_SELL]),
    st.sampled_from(["", "0", "1", "13", "40", "41", "1.5", "x"]),
    st.sampled_from(["alice", "bob"]),
)
FILLS = st.tuples(st.just("fill"), st.integers(0, 30), st.integers(1, 40))
ENDS = st.tuples(st.just("end"), st.integers(0, 30))
STEPS = st.lists(st.one_of(SIGNALS, FILLS, ENDS), max_size=60)


class World:
    """A gateway with a venue that fills and ends orders as the test says."""

    def __init__(self):
        self.gateway = RiskGateway(LIMITS)
        self.log = []
        self.orders = {}
        self.left = {}
        self.positions = {"alice": Decimal(0), "bob": Decimal(0)}

    def step(self, number, step):
        if step[0] == "signal":
            self.signal(number, *step[1:])
        elif self.left:
            name = sorted(self.left)[step[1] % len(self.left)]
            if step[0] == "fill":
                self.fill(number, name, min(Decimal(step[2]), self.left[name]))
            else:
                self.report(number, name, order_pb2.EXEC_TYPE_EXPIRED, order_pb2.ORD_STATUS_EXPIRED)
                del self.left[name]

    def signal(self, number, name, action, side, qty, strategy):
        sent = Signal(
            signal_id=f"s{name}",
            strategy_id=strategy,
            symbol="X",
            action=action,
            side=side,
            target_qty=qty,
            decision_time_unix_nano=1_000,
            decision_px="1",
        )
        outcome = self.gateway.decide(sent, reference_px=reference_of(sent), now_unix_nano=1_000)
        self.log.append(outcome.decision.SerializeToString(deterministic=True))
        if outcome.order is not None:
            assert outcome.order.cl_ord_id not in self.orders
            assert not outcome.decision.replayed
            self.orders[outcome.order.cl_ord_id] = outcome.order
            self.left[outcome.order.cl_ord_id] = Decimal(outcome.order.order_qty)
        approved = Decimal(outcome.decision.approved_qty)
        assert (approved > 0) == (
            outcome.order is not None or (outcome.decision.replayed and approved > 0)
        )
        if outcome.decision.verdict == risk_pb2.RISK_VERDICT_DENY:
            assert outcome.order is None
            assert outcome.decision.reason_code

    def fill(self, number, name, quantity):
        order = self.orders[name]
        self.left[name] -= quantity
        done = not self.left[name]
        status = order_pb2.ORD_STATUS_FILLED if done else order_pb2.ORD_STATUS_PARTIALLY_FILLED
        self.report(number, name, order_pb2.EXEC_TYPE_TRADE, status, quantity)
        sign = 1 if order.side == signal_pb2.SIDE_BUY else -1
        self.positions[order.strategy_id] += sign * quantity
        if done:
            del self.left[name]

    def report(self, number, name, exec_type, status, quantity=Decimal(0)):
        order = self.orders[name]
        report = ExecutionReport(
            exec_id=f"e{number}",
            exec_type=exec_type,
            ord_status=status,
            cl_ord_id=name,
            strategy_id=order.strategy_id,
            symbol="X",
            side=order.side,
            last_qty=str(quantity),
            last_px="1",
        )
        self.gateway.on_report(report)
        self.gateway.on_report(report)  # delivered twice

    def check(self):
        exposure = self.gateway.exposure
        holder = Holder("", "alice", "X")
        for strategy, position in self.positions.items():
            assert exposure.position(holder._replace(strategy_id=strategy)) == position
        net = exposure.net(holder)
        assert net + exposure.working(holder, 1) <= LIMITS.position_qty_max
        assert net - exposure.working(holder, -1) >= -LIMITS.position_qty_max
        assert exposure.open_order_count == len(self.left)
        working = exposure.working(holder, 1) + exposure.working(holder, -1)
        assert working == sum(self.left.values())


@given(STEPS)
@settings(deadline=None)
def test_no_sequence_of_signals_and_fills_breaks_the_position_limit(steps):
    world = World()
    for number, step in enumerate(steps):
        world.step(number, step)
        world.check()


@given(STEPS)
@settings(deadline=None, max_examples=50)
def test_the_same_inputs_give_the_same_decisions(steps):
    logs = []
    for _ in range(2):
        world = World()
        for number, step in enumerate(steps):
            world.step(number, step)
        logs.append(world.log)
    assert logs[0] == logs[1]
