"""The report in the terminal: aligned, quiet, complete."""

from __future__ import annotations

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bellwire.cli.demo.hops import Hop
from bellwire.cli.demo.report import (
    BYTES_MEANING,
    DIGEST_MEANING,
    JSON_MEANING,
    Report,
    TopicFacts,
)
from bellwire.cli.demo.trading import TradingSummary
from bellwire.cli.output import Style, plain_table
from bellwire.cli.units import bytes_text, count_text, duration_text, moment_text
from bellwire.cli.waterfall import draw_waterfall
from bellwire.execution.quality import QualityReport, Share

__all__ = ["print_report"]


def print_report(report: Report, out: Console) -> None:
    """Print the whole report."""
    out.print(_headline(report))
    for title, part in (
        ("Bus", _bus(report)),
        ("Trading", _trading(report)),
        ("Latency", _latency(report.hops)),
        ("Processes", _processes(report)),
    ):
        out.print()
        out.print(Text(title, Style.TITLE))
        out.print(Padding(part, (0, 0, 0, 2)))
    out.print()
    if report.trace is not None:
        out.print(draw_waterfall(report.trace, out.width))
        out.print()
    out.print(_footer(report), soft_wrap=True)


def _headline(report: Report) -> Text:
    data = report.data
    first, last = moment_text(data.first_open_unix_nano), moment_text(data.last_close_unix_nano)
    return Text.assemble(
        ("Bellwire demo", Style.TITLE),
        f"  paper venue, {report.pace}, seed {report.seed}\n",
        ("data    ", Style.FAINT),
        (f"{data.symbol} {data.interval}", Style.NAME),
        f"  {count_text(data.bars)} bars  {first[:16]} … {last[:16]} UTC  ",
        (f"{data.source}\n", Style.FAINT),
        ("sha256  ", Style.FAINT),
        f"{data.sha256}\n",
        ("digest  ", Style.FAINT),
        f"{report.digest}\n",
        (f"        {DIGEST_MEANING}", Style.FAINT),
    )


def _bus(report: Report) -> Group:
    table = plain_table(
        "topic", "messages", "batches", "bytes sent", "as JSON", "saved", right=(1, 2, 3, 4, 5)
    )
    for topic in report.bus.topics:
        if topic.messages:
            table.add_row(*_topic_cells(topic))
    total = report.bus.total
    table.add_row(*_topic_cells(total), style=Style.TITLE)
    rate = total.messages / report.run_seconds if report.run_seconds else 0.0
    notes = (
        f"sent: {BYTES_MEANING}\n"
        f"as JSON: {JSON_MEANING}\n"
        f"{duration_text(report.run_seconds)} of playing, {count_text(round(rate))} messages/s, "
        f"after {duration_text(report.startup_seconds)} of starting processes"
    )
    return Group(table, Text(notes, Style.FAINT))


def _topic_cells(topic: TopicFacts) -> tuple[str, ...]:
    saved = 1 - topic.bytes_sent / topic.json_bytes if topic.json_bytes else 0.0
    return (
        topic.name,
        count_text(topic.messages),
        count_text(topic.batches),
        bytes_text(topic.bytes_sent),
        bytes_text(topic.json_bytes),
        f"{saved:.0%}",
    )


def _deciders(trading: TradingSummary) -> str:
    """Who decided the signals; with numbers where the model was not always the one."""
    if len(trading.decided_by) == 1:
        return f"by {next(iter(trading.decided_by))}"
    return ", ".join(f"{count:,} by {name}" for name, count in trading.decided_by.items())


def _trading(report: Report) -> Table:
    quality = report.trading.quality
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style=Style.FAINT, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    table.add_row("signals", count_text(report.trading.signals), _deciders(report.trading))
    table.add_row("decisions", count_text(report.trading.decisions), _verdicts(quality))
    table.add_row("orders", count_text(report.trading.orders), _ends(quality))
    table.add_row("fills", count_text(quality.fills), f"{quality.partial_fills:,} of them partial")
    table.add_row(
        "fill rate", _percent(quality.order_fill_rate.share), _fill_rate(quality.order_fill_rate)
    )
    table.add_row("", _percent(quality.quantity_fill_rate), "of the quantity ordered")
    table.add_row("slippage", *_slippage(quality))
    table.add_row("commission", f"{quality.commission:,.2f}", "quote currency")
    return table


def _verdicts(quality: QualityReport) -> str:
    parts = []
    for verdict, count in quality.verdicts.items():
        reasons = {"DENY": quality.denied_by_reason, "CLAMP": quality.clamped_by_reason}
        named = ", ".join(f"{code} {n}" for code, n in reasons.get(verdict, {}).items())
        parts.append(f"{count:,} {verdict.lower()}" + (f" ({named})" if named else ""))
    return ", ".join(parts)


def _ends(quality: QualityReport) -> str:
    parts = [
        f"{share.count:,} {name.lower().replace('_', ' ')}"
        for name, share in quality.ends.items()
        if share.count and name != "DENIED"
    ]
    if quality.orders_open:
        parts.append(f"{quality.orders_open:,} still open")
    return ", ".join(parts)


def _fill_rate(share: Share) -> str:
    if not share.n:
        return "no order was accepted"
    return (
        f"of {share.n:,} accepted orders filled whole (95 % interval {_percent(share.low)} "
        f"to {_percent(share.high)})"
    )


def _slippage(quality: QualityReport) -> tuple[str, str]:
    cost = quality.slippage
    if not cost.n:
        return "-", "no fill to measure"
    return (
        f"{cost.mean_bps:.2f} bps",
        f"mean against arrival price (± {cost.mean_standard_error_bps:.2f}), p50 {cost.p50_bps:.2f}, "
        f"p95 {cost.p95_bps:.2f}, n {cost.n:,} orders",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _latency(hops: tuple[Hop, ...]) -> Group:
    table = plain_table("hop", "p50", "p95", "p99", "n", "what it is", right=(1, 2, 3, 4))
    table.columns[5].style = Style.FAINT
    for hop in hops:
        if hop.seconds is None:
            table.add_row(hop.name, "-", "-", "-", "0", hop.meaning)
            continue
        table.add_row(
            hop.name,
            duration_text(hop.seconds.p50),
            duration_text(hop.seconds.p95),
            duration_text(hop.seconds.p99),
            count_text(hop.seconds.n),
            hop.meaning,
        )
    notes = (
        "from one message handed to the bus until the next: its way over the bus, and the agent's "
        "work\non it; exact percentiles (nearest rank) of every one recorded by the spans"
    )
    return Group(table, Text(notes, Style.FAINT))


def _processes(report: Report) -> Table:
    table = plain_table("process", "pid", "cpu", "resident", right=(1, 2, 3))
    for process in report.processes:
        table.add_row(
            process.name,
            str(process.pid),
            f"{process.cpu_seconds:.2f} s",
            bytes_text(process.rss_bytes),
        )
    total = sum(process.cpu_seconds for process in report.processes)
    table.add_row("together", "", f"{total:.2f} s", "", style=Style.TITLE)
    return table


def _footer(report: Report) -> Text:
    text = Text()
    if report.trace is not None:
        text.append("this trace again  ", Style.FAINT)
        text.append(
            f"bellwire trace {report.trace.trace_id[:8]} --dir {report.run_directory / 'traces'}\n"
        )
    text.append("traces and logs   ", Style.FAINT)
    text.append(f"{report.run_directory}")
    text.append(f"  ({report.spans:,} spans, {report.traces:,} traces)", Style.FAINT)
    return text
