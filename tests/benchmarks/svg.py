"""The little of SVG that the plots need: shapes as text, and a style for light and dark pages."""

from collections.abc import Iterable
from html import escape
from typing import Final

FONT_SIZE: Final = 12
# Colours by role. An image in a page sees only what the reader's system prefers, not what the page
# looks like, so it brings its own ground along. Our rows are blue in both, the others grey; the lines
# of the load plot differ in dashes and labels as well as in colour.
STYLE: Final = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1f2328; --quiet: #59636e;
  --grid: #d8dee4; --ours: #0969da; --theirs: #818b98; --second: #1a7f37; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --ink: #e6edf3; --quiet: #9198a1;
  --grid: #30363d; --ours: #4493f8; --theirs: #7d8590; --second: #3fb950; --warn: #d29922; } }
text { font: 12px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; } .quiet { fill: var(--quiet); } .warn { fill: var(--warn); }
.strong { font-weight: 600; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.ink { stroke: var(--ink); } .grid { stroke: var(--grid); } .ground { fill: var(--ground); }
.ours { fill: var(--ours); stroke: var(--ours); } .theirs { fill: var(--theirs); stroke: var(--theirs); }
.second { fill: var(--second); stroke: var(--second); }
.line { fill: none; stroke-width: 2; } .dash { stroke-dasharray: 6 4; } .thick { stroke-width: 3; }
.hollow { fill: var(--ground); stroke-width: 2; } text.ours, text.theirs, text.second { stroke: none; }
"""


def page(width: int, height: int, title: str, body: Iterable[str]) -> str:
    """Give the whole image; the title is also what a screen reader says."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{width}" height="{height}" rx="6"/>',
            *body,
            "</svg>\n",
        )
    )


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Give text whose baseline begins at a point; `kind` is its classes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Give a straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def path(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Give straight lines from point to point."""
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{joined}" class="line {kind}"/>'


def dot(x: float, y: float, radius: float, kind: str) -> str:
    """Give a circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Give a horizontal bar."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:g}" rx="2"'
        f' class="{kind}"/>'
    )
