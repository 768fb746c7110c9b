"""The stages as Markdown: what each step costs a batch, and what a message waits for in all."""

from tests.benchmarks.page_section import markdown_table, provenance
from tests.benchmarks.peers import PEERS
from tests.benchmarks.stage_timing import Figures

PACED_HEAD = "1, after 1 ms of sleep"


def render_stages(document: Figures) -> str:
    """Give where it was measured, the steps, the transports, and the sum."""
    sizes = document["sizes"]
    parts = [
        provenance(document),
        "**Functions of the product, µs a batch (p50); in brackets µs a message**\n",
        _steps_table(sizes, document["paced"]),
    ]
    if any(size["floors"] for size in sizes):
        parts += [
            "**Bare transports, one way at 1 frame per ms, µs (p50 / p99)**\n",
            _floors_table(sizes),
            "**A single message: the sum beside what it takes end to end, µs (p50)**\n",
            _sum_table(document),
        ]
    return "\n".join(parts)


def waited_us(size: Figures) -> float:
    """Give what a message waits for in functions, microseconds: parts count in what contains them."""
    return sum(
        float(step["p50_us"])
        for step in size["steps"]
        if step["waited_for"] and not step["part_of"]
    )


def _steps_table(sizes: list[Figures], paced: Figures) -> str:
    heads = ["step", "process", *(f"{size['batch_messages']:,}" for size in sizes), PACED_HEAD]
    apart = {step["name"]: f"{step['p50_us']:.1f}" for step in paced["steps"]}
    rows = []
    for index, step in enumerate(sizes[0]["steps"]):
        name = f"  of *{step['part_of']}*: {step['name']}" if step["part_of"] else step["name"]
        if not step["waited_for"]:
            name += " (behind the message)"
        figures = [
            _per_batch(size["steps"][index]["p50_us"], size["batch_messages"]) for size in sizes
        ]
        last = "" if step["part_of"] else apart[step["name"]]
        rows.append([name.strip(), step["where"], *figures, last])
    sums = [_per_batch(waited_us(size), size["batch_messages"]) for size in sizes]
    rows.append(["**sum the message waits for**", "", *sums, f"{waited_us(paced):.1f}"])
    weights = [f"{size['frame_bytes']['delivery']:,} B" for size in sizes]
    rows.append(["weight of the frame", "", *weights, ""])
    return markdown_table(heads, rows)


def _per_batch(microseconds: float, messages: int) -> str:
    if messages == 1:
        return f"{microseconds:.1f}"
    return f"{microseconds:,.1f} ({microseconds / messages:.2f})"


def _floors_table(sizes: list[Figures]) -> str:
    heads = ["transport", *(f"{size['frame_bytes']['delivery']:,} B" for size in sizes)]
    rows = [
        [
            floor["title"],
            *(
                f"{size['floors'][index]['p50_us']:,.0f} / {size['floors'][index]['p99_us']:,.0f}"
                for size in sizes
            ),
        ]
        for index, floor in enumerate(sizes[0]["floors"])
    ]
    return markdown_table(heads, rows)


def _sum_table(document: Figures) -> str:
    """Set floor + functions of one message beside the measured whole; the rest is named as such."""
    single = document["sizes"][0]
    back_to_back = waited_us(single)
    functions = waited_us(document["paced"])
    floors = {floor["name"]: floor["p50_us"] for floor in single["floors"]}
    rows = []
    for whole in document["end_to_end"]:
        floor = floors[whole["floor"]]
        together = floor + functions
        rest = whole["p50_us"] - together
        figures = (floor, back_to_back, functions, together, whole["p50_us"], rest)
        rows.append([PEERS[whole["name"]].title, *(f"{each:,.0f}" for each in figures)])
    heads = [
        "system",
        "its transport",
        "functions, back to back",
        "functions, after 1 ms of sleep",
        "transport and those",
        "measured",
        "rest",
    ]
    note = "\n*Rest*: tasks of the event loops, client bookkeeping, flow control, and waiting for a processor.\n"
    return markdown_table(heads, rows) + note
