"""The comparison as Markdown, and whether iceoryx2 is kept."""

from collections.abc import Iterable
from statistics import median
from typing import Any, Final

from tests.benchmarks.page_section import markdown_table, provenance

TITLES: Final = {
    "iceoryx2": "iceoryx2, bare",
    "unix": "Unix socket, bare",
    "iceoryx2_batch": "iceoryx2, batches of the bus",
    "unix_batch": "Unix socket, batches of the bus",
    "bellwire": "Bellwire, public API",
}
KEEP_FROM: Final = 1.5
CANDIDATE: Final = "iceoryx2_batch"  # What a lane on it could be at best: the bus's own work stays.
RIVALS: Final = ("unix_batch", "bellwire")
ABSENT: Final = "–"
Figures = dict[str, Any]


def render_shared_memory(document: Figures) -> str:
    """Give where it was measured, a row for each carrier, and the decision."""
    measurements = document["measurements"]
    sizes = sorted({each["rows"] for each in measurements})
    heads = ["carrier", *(f"{rows:,} rows" for rows in sizes)]
    parts = [
        provenance(document),
        f"Medians of {document['settings']['rounds']} rounds.\n",
        "**Updates a second, million (one update = one row)**\n",
        markdown_table(heads, _rows(measurements, sizes, "updates_per_second", 1e6, ".2f")),
        "**One-way latency of a whole batch from its intended send, half a million rows a second, µs: p50**\n",
        markdown_table(heads, _rows(measurements, sizes, "p50_us", 1, ",.0f")),
        "**… and p95**\n",
        markdown_table(heads, _rows(measurements, sizes, "p95_us", 1, ",.0f")),
        *(f"*missing* {reason}\n" for reason in document["missing"]),
        *(
            f"*failed* {each['carrier']}: {each['error']}\n"
            for each in measurements
            if "error" in each
        ),
        decision(measurements),
    ]
    return "\n".join(parts)


def ratios(measurements: Iterable[Figures], rival: str) -> dict[int, tuple[float, float]]:
    """Give by rows how many times the rival's updates a second, and its p50 ÷ ours.

    Round by round, so that both sides saw the same minute; medians.
    """
    found = {(m["rows"], m["round"], m["carrier"]): m for m in measurements if "error" not in m}
    pairs: dict[int, list[tuple[float, float]]] = {}
    for (rows, number, carrier), ours in found.items():
        theirs = found.get((rows, number, rival))
        if carrier == CANDIDATE and theirs is not None:
            pair = (
                ours["updates_per_second"] / theirs["updates_per_second"],
                theirs["p50_us"] / ours["p50_us"],
            )
            pairs.setdefault(rows, []).append(pair)
    return {
        rows: (median(each[0] for each in all_), median(each[1] for each in all_))
        for rows, all_ in sorted(pairs.items())
    }


def decision(measurements: list[Figures]) -> str:
    """Say whether iceoryx2 is kept: it must win by 1.5 in one figure for every size, against each rival."""
    by_rival = {rival: ratios(measurements, rival) for rival in RIVALS}
    if not all(by_rival.values()):
        return "**Decision**: none; not everything was measured.\n"
    least = _least(by_rival).values()
    wins = any(min(pair[figure] for pair in least) >= KEEP_FROM for figure in (0, 1))
    shown = "; ".join(
        f"{TITLES[rival]}: "
        + ", ".join(
            f"{rows:,} rows × {pair[0]:.2f} and × {pair[1]:.2f}" for rows, pair in found.items()
        )
        for rival, found in by_rival.items()
    )
    verdict = "kept" if wins else "not kept"
    return (
        f"**Decision**: {verdict}. {TITLES[CANDIDATE]} (updates a second, latency p50) against {shown}; "
        f"× {KEEP_FROM} in one of the two for every size is needed.\n"
    )


def _least(by_rival: dict[str, dict[int, tuple[float, float]]]) -> dict[int, tuple[float, float]]:
    """Give for each size the ratios to whichever rival is better."""
    sizes = set.intersection(*(set(found) for found in by_rival.values()))
    return {
        rows: (
            min(found[rows][0] for found in by_rival.values()),
            min(found[rows][1] for found in by_rival.values()),
        )
        for rows in sizes
    }


def _rows(
    measurements: list[Figures], sizes: list[int], figure: str, unit: float, form: str
) -> list[list[str]]:
    rows = []
    for carrier, title in TITLES.items():
        cells = []
        for size in sizes:
            found = [
                each[figure] / unit
                for each in measurements
                if (each["carrier"], each["rows"]) == (carrier, size) and "error" not in each
            ]
            cells.append(format(median(found), form) if found else ABSENT)
        rows.append([title, *cells])
    return rows
