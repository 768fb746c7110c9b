"""Rows and actions to monitor, drawn with a seed."""

import numpy as np

from bellwire.agents.drift.reference import reference_of

BARS = 4_000


def draw(seed, bars=BARS, *, shift=0.0, long=0.3):
    """Return (bars, 7) rows of independent columns and (bars, 3) actions."""
    random = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            random.random((bars, 2)) < 0.4,
            random.normal(shift, 1.0, bars),
            random.random(bars),
            random.random(bars) < 0.1,
            random.normal(0.0, 1.0, bars),
            np.maximum(random.normal(0.0, 1.0, bars), 0.0),
        ]
    )
    actions = random.choice(3, (bars, 3), p=[0.6 - long, 0.4, long])
    return rows, actions


def reference(seed=0, **changed):
    """Return the reference of a sample."""
    rows, actions = draw(seed, **changed)
    return reference_of("EURUSD", "1h", "0" * 64, rows=rows, actions=actions)


def feed(monitor, rows, actions):
    """Show the monitor all bars; return the reports of changed verdicts."""
    told = [
        monitor.observe(row, said)
        for row, said in zip(rows.tolist(), actions.tolist(), strict=True)
    ]
    return [report for report in told if report is not None]
