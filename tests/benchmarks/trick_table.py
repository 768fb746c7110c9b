"""The accept or reject table of the tricks, as Markdown."""

from statistics import median
from typing import Any, Final

from tests.benchmarks.page_section import markdown_table, provenance
from tests.benchmarks.peers import PEERS
from tests.benchmarks.trick_verdict import GAIN_MIN, Gain, gain_of, verdict_of

ABSENT: Final = "–"
# Figure, whether more of it is better, and whether the verdict looks at it.
FIGURES: Final = (
    ("messages_per_second", True, True),
    ("p50_us", False, True),
    ("p95_us", False, False),
    ("10k_p50_us", False, True),
    ("batch_us", False, True),
)
SHOWN: Final = ("msg/s", "p50 µs", "p95 µs", "p50 µs at 10/ms")
HEADS: Final = ("trick", "on", *(head for name in SHOWN for head in (name, "gain")), "verdict")
ROUNDS_FOR_A_VERDICT: Final = 3
Figures = dict[str, Any]


def render_tricks(document: Figures) -> str:
    """Give where it was measured, and a row for each trick."""
    rounds = document["settings"]["rounds"]
    rule = (
        f"Medians without → with over {rounds} rounds; *gain* is the median of the rounds' own gains, in brackets the "
        f"least and the most. Accepted: a gain above {GAIN_MIN:.0%} that is larger than the distance between least "
        f"and most, in messages a second or a p50, and in none of the others a loss above {GAIN_MIN:.0%}.\n"
    )
    if rounds < ROUNDS_FOR_A_VERDICT:
        rule += f"\n*A verdict takes {ROUNDS_FOR_A_VERDICT} rounds at least: these say only that the tricks run.*\n"
    table = markdown_table(HEADS, [row_of(trick, rounds) for trick in document["tricks"]])
    return "\n".join((provenance(document), rule, table))


def row_of(trick: Figures, rounds: int) -> list[str]:
    """Give the cells of one trick."""
    title = trick["title"]
    on = PEERS[trick["peer"]].title if trick["peer"] else "encode step"
    reason = trick.get("missing") or trick.get("error")
    if reason:
        word = "not tried" if "missing" in trick else "failed"
        return [title, on, *[ABSENT] * 2 * len(SHOWN), f"{word}: {' '.join(reason.split())}"]
    gains = gains_of(trick)
    cells = []
    for figure, _, _ in FIGURES[: len(SHOWN)]:
        # The one figure of the encode step, µs a batch, stands where the latency does.
        shown = "batch_us" if figure == "p50_us" and "batch_us" in gains else figure
        cells += _cells(trick, shown, gains.get(shown))
    decided = [gains[figure] for figure, _, counts in FIGURES if counts and figure in gains]
    verdict = verdict_of(decided).value if rounds >= ROUNDS_FOR_A_VERDICT else ABSENT
    return [title, on, *cells, verdict]


def gains_of(trick: Figures) -> dict[str, Gain]:
    """Give what a trick gained in each figure it has."""
    found = {}
    for figure, more_is_better, _ in FIGURES:
        pairs = [(each["without"], each["with"]) for each in trick["rounds"]]
        if all(figure in without for without, _ in pairs):
            sides = [[side[figure] for side in sides] for sides in zip(*pairs, strict=True)]
            found[figure] = gain_of(*sides, more_is_better=more_is_better)
    return found


def _cells(trick: Figures, figure: str, gain: Gain | None) -> list[str]:
    if gain is None:
        return [ABSENT, ABSENT]
    without, with_it = (
        median(each[side][figure] for each in trick["rounds"]) for side in ("without", "with")
    )
    spread = f"{gain.median:+.1%} ({gain.low:+.1%} … {gain.high:+.1%})"
    return [f"{without:,.0f} → {with_it:,.0f}", spread]
