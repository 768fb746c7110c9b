"""One line that says what a payload means; trading types in a trader's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bellwire.cli.payload import PREVIEW_BYTES, Payload
from bellwire.cli.units import bytes_text, moment_text

__all__ = ["summarize"]


def summarize(payload: Payload) -> str:
    """Return the payload in one line."""
    if payload.message is not None:
        name = payload.message.DESCRIPTOR.full_name
        return _BY_TYPE.get(name, _any_message)(payload.message)
    if payload.kind == "json":
        return json.dumps(payload.value, ensure_ascii=False, separators=(", ", ": "))
    if payload.kind == "text":
        return " ⏎ ".join(payload.value.splitlines())
    if payload.kind == "binary":
        data: bytes = payload.value
        dots = " …" if len(data) > PREVIEW_BYTES else ""
        return f"{bytes_text(len(data))}  {data[:PREVIEW_BYTES].hex(' ', 4)}{dots}"
    return ""


def _bar(bar: Any) -> str:
    return (
        f"{bar.symbol} {bar.interval} {moment_text(bar.close_time_unix_nano)}  "
        f"O {bar.open}  H {bar.high}  L {bar.low}  C {bar.close}  V {bar.volume}"
    )


def _watermark(mark: Any) -> str:
    end = "  end of stream" if mark.end_of_stream else ""
    return f"{mark.stage} ≤ {moment_text(mark.time_unix_nano)}{end}"


def _signal(signal: Any) -> str:
    quantity = f" {signal.target_qty}" if signal.target_qty else ""
    return (
        f"{_word(signal, 'action')} {_word(signal, 'side')}{quantity} {signal.symbol}"
        f" at {signal.decision_px}  strength {signal.strength:.2f}  {signal.rationale}"
    ).rstrip()


def _decision(decision: Any) -> str:
    reason = f"  {decision.reason_code}" if decision.reason_code else ""
    quantity = decision.approved_qty
    if decision.requested_qty != decision.approved_qty:
        quantity = f"{decision.approved_qty} of {decision.requested_qty}"
    return f"{_word(decision, 'verdict')} {quantity} {decision.symbol}{reason}"


def _order(order: Any) -> str:
    price = f" @ {order.price}" if order.price else ""
    return (
        f"{_word(order, 'side')} {order.order_qty} {order.symbol} {_word(order, 'ord_type')}{price}"
        f"  {order.cl_ord_id}"
    )


def _execution(report: Any) -> str:
    head = f"{_word(report, 'exec_type')} {_word(report, 'side')}"
    if report.last_qty and report.last_px:
        head += f" {report.last_qty} @ {report.last_px}"
    tail = f"filled {report.cum_qty or '0'} of {report.order_qty}"
    return f"{head} {report.symbol}  {tail}  {report.cl_ord_id}  {report.text}".rstrip()


def _any_message(message: Any) -> str:
    """List the fields that are set, `name=value`."""
    parts = []
    for field, value in message.ListFields():
        shown = _word(message, field.name) if field.enum_type and not field.is_repeated else value
        parts.append(f"{field.name}={' '.join(str(shown).split())}")
    return "  ".join(parts)


def _word(message: Any, name: str) -> str:
    """Return the word of an enum value without the prefix of its type: SIDE_BUY is BUY."""
    field = message.DESCRIPTOR.fields_by_name[name]
    value = field.enum_type.values_by_number.get(getattr(message, name))
    if value is None:
        return str(getattr(message, name))
    first = field.enum_type.values_by_number[0].name
    return str(value.name.removeprefix(first.removesuffix("UNSPECIFIED")))


_TRADING: Final = "bellwire.trading.v1."
_BY_TYPE: Final[dict[str, Callable[[Any], str]]] = {
    f"{_TRADING}Bar": _bar,
    f"{_TRADING}Watermark": _watermark,
    f"{_TRADING}Signal": _signal,
    f"{_TRADING}RiskDecision": _decision,
    f"{_TRADING}OrderRequest": _order,
    f"{_TRADING}ExecutionReport": _execution,
}
