"""Who trusts whom, as a drawing: in text for terminals, as SVG for pages.

Both show HSMs in the order of their device numbers and nothing that differs from one making of the keys to the next,
so that the same relations always give the same picture. SVG is written by hand: no program draws it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Node", "as_svg", "as_text"]


class Node(NamedTuple):
    """An HSM: serial, what its PIC is, whom it trusts, whose PICs it holds but does not use, whether it is a CA."""

    serial: str
    identity: str
    trusts: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    is_ca: bool = False


_MUTUAL, _GIVEN, _TAKEN, _UNUSED = "<──>", "───>", "<───", "- ->"
_MEANING = {
    _MUTUAL: "trust each other", _GIVEN: "trusts", _TAKEN: "is trusted by", _UNUSED: "holds the PIC of, without use",
}  # fmt: skip


def as_text(nodes: Sequence[Node]) -> str:
    """Return a drawing with a block of lines an HSM: its relations, those of one kind beside each other."""
    used: list[str] = []
    blocks = []
    for node in nodes:
        relations = _relations(node, nodes)
        used += [arrow for arrow, _ in relations]
        lines = [f"[{node.serial}]  {_caption(node)}"]
        for place, (arrow, serials) in enumerate(relations, 1):
            branch = "└" if place == len(relations) else "├"
            lines.append(f"   {branch}{arrow} " + "  ".join(f"[{serial}]" for serial in serials))
        blocks.append("\n".join(lines))
    legend = "\n".join(f"{arrow}  {meaning}" for arrow, meaning in _MEANING.items() if arrow in used)
    return "\n\n".join([*blocks, legend] if legend else blocks)


def _caption(node: Node) -> str:
    return f"CA, {node.identity}" if node.is_ca else node.identity


def _relations(node: Node, nodes: Sequence[Node]) -> list[tuple[str, list[str]]]:
    """Return (arrow, serials) of each kind of relation that an HSM has."""
    trusted_by = [other.serial for other in nodes if node.serial in other.trusts]
    kinds = (
        (_MUTUAL, [serial for serial in node.trusts if serial in trusted_by]),
        (_GIVEN, [serial for serial in node.trusts if serial not in trusted_by]),
        (_TAKEN, [serial for serial in trusted_by if serial not in node.trusts]),
        (_UNUSED, list(node.unused)),
    )
    return [(arrow, serials) for arrow, serials in kinds if serials]


# SVG

_WIDTH, _HEIGHT, _MARGIN = 168, 52, 20  # of a box, and around the picture
_GAP = 8  # between a box and an arrow's end
_STYLE = """\
    text { font: 13px sans-serif; fill: #1f2933; text-anchor: middle }
    .serial { font-weight: bold; font-size: 15px }
    .box { fill: #f4f7fa; stroke: #52667a; stroke-width: 1.5 }
    .ca { fill: #fff4d6; stroke: #9a6b00 }
    .away { fill: #ffffff; stroke-dasharray: 4 3 }
    .arrow { stroke: #2b6cb0; stroke-width: 1.8; fill: none; marker-end: url(#end) }
    .mutual { marker-start: url(#start) }
    .unused { stroke: #9aa5b1; stroke-dasharray: 5 4; marker-end: none }
    marker path { fill: #2b6cb0 }"""
_MARKERS = """\
    <marker id="end" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path d="M0 0 L10 5 L0 10 z"/>
    </marker>
    <marker id="start" viewBox="0 0 10 10" refX="1" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path d="M10 0 L0 5 L10 10 z"/>
    </marker>"""


def as_svg(nodes: Sequence[Node]) -> str:
    """Return the picture: boxes on a circle, the first one at the top, an arrow from who trusts to who is trusted."""
    places = {node.serial: node for node in nodes}
    for node in nodes:
        for serial in (*node.trusts, *node.unused):
            places.setdefault(serial, Node(serial, "not here"))
    radius = 150 if len(places) <= _FEW else 48 * len(places)
    middle = (radius + _WIDTH / 2 + _MARGIN, radius + _HEIGHT / 2 + _MARGIN)
    if len(places) == 1:
        radius, middle = 0, (_WIDTH / 2 + _MARGIN, _HEIGHT / 2 + _MARGIN)
    centres = {}
    for place, serial in enumerate(places):
        angle = 2 * math.pi * place / len(places) - math.pi / 2
        centres[serial] = (middle[0] + radius * math.cos(angle), middle[1] + radius * math.sin(angle))
    width = 2 * middle[0]
    height = max((y for _, y in centres.values()), default=middle[1]) + _HEIGHT / 2 + _MARGIN
    known = {node.serial for node in nodes}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}" role="img">',
        f"  <title>{escape(_title(nodes))}</title>",
        f"  <style>\n{_STYLE}\n  </style>",
        f"  <defs>\n{_MARKERS}\n  </defs>",
        *_arrows(nodes, centres),
        *(line for serial, node in places.items() for line in _box(node, centres[serial], here=serial in known)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


_FEW = 4


def _title(nodes: Sequence[Node]) -> str:
    """Return the relations in words, for those who do not see the picture."""
    said = [f"{node.serial} trusts {', '.join(node.trusts)}" for node in nodes if node.trusts]
    return "; ".join(said) or "no HSM trusts another"


def _arrows(nodes: Sequence[Node], centres: dict[str, tuple[float, float]]) -> list[str]:
    """Return a line for each pair that has a relation; mutual trust is one line with two heads."""
    trusts = {(node.serial, serial) for node in nodes for serial in node.trusts}
    lines = []
    for node in nodes:
        for serial in node.trusts:
            mutual = (serial, node.serial) in trusts
            if not mutual or list(centres).index(node.serial) < list(centres).index(serial):
                lines.append(_arrow("arrow mutual" if mutual else "arrow", centres[node.serial], centres[serial]))
        lines += [_arrow("arrow unused", centres[node.serial], centres[serial]) for serial in node.unused]
    return lines


def _arrow(style: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return a line from the border of one box to that of another."""
    (x1, y1), (x2, y2) = _border(start, end), _border(end, start)
    return f'  <path class="{style}" d="M{_n(x1)} {_n(y1)} L{_n(x2)} {_n(y2)}"/>'


def _border(box: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where the line from a box's centre to another leaves it, a gap away."""
    dx, dy = towards[0] - box[0], towards[1] - box[1]
    across = (_WIDTH / 2 + _GAP) / abs(dx) if abs(dx) > _NEAR else math.inf
    down = (_HEIGHT / 2 + _GAP) / abs(dy) if abs(dy) > _NEAR else math.inf
    share = min(across, down, 0.5)
    return box[0] + dx * share, box[1] + dy * share


_NEAR = 1e-6


def _box(node: Node, centre: tuple[float, float], *, here: bool) -> list[str]:
    """Return the box of an HSM."""
    x, y = centre
    style = "box ca" if node.is_ca else "box" if here else "box away"
    return [
        f'  <rect class="{style}" x="{_n(x - _WIDTH / 2)}" y="{_n(y - _HEIGHT / 2)}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
        f'  <text class="serial" x="{_n(x)}" y="{_n(y - 4)}">{escape(node.serial)}</text>',
        f'  <text x="{_n(x)}" y="{_n(y + 15)}">{escape(_caption(node))}</text>',
    ]


def _n(number: float) -> str:
    """Return a coordinate, to a tenth, the same on every machine."""
    return f"{number + 0:.1f}".removesuffix(".0")
