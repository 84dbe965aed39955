"""The lineage of a version as boxes and arrows with their places: what led to it on the left, what became of it on the right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from model.schemas.lineage import Lineage
from model.schemas.model_version import ModelVersion
from model.text import one_line
from serving.lineage_chart import Edge, Graph, Node, lineage_graph

SHOWN = 5
"""Promotions, and versions made from this one, that are drawn: the latest."""
_WIDTH, _LINE, _EDGE, _ROW, _COLUMN = 204.0, 18.0, 10.0, 14.0, 40.0
_LETTERS = 24
_SAID = {"version": "version", "gate": "gate", "promotion": "promotion", "derived": "its gallery changed"}
"""What stands above the lines of a box; above those of a box that leads to the version stands what the arrow says."""
_PLACES = {"data": 0, "gallery": 0, "base": 0, "run": 0, "version": 1, "gate": 2, "derived": 2, "promotion": 3}


class Box(NamedTuple):
    """A box: its place, what it stands for, its lines as far as they fit, all of its text, and the page it leads to, if any.

    Above the lines stands in small letters what it is.
    """

    x: float
    y: float
    width: float
    height: float
    kind: str
    said: str
    lines: tuple[str, ...]
    text: str
    link: str


@dataclass(frozen=True)
class Drawing:
    """A drawing.

    Attributes:
        width: In pixels.
        height: In pixels.
        boxes: Its boxes.
        arrows: Paths of its arrows.
        omitted: Number of earlier promotions that are not drawn.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]
    omitted: int


def draw_lineage(lineage: Lineage, derived: Sequence[ModelVersion]) -> Drawing:
    """The drawing.

    Args:
        lineage: Where the version comes from and what became of it.
        derived: The versions whose gallery was made from that of this version, newest first.
    """
    graph, omitted = _shortened(lineage_graph(lineage), derived)
    columns: dict[int, list[tuple[Node, float]]] = {}
    for node in graph.nodes:
        columns.setdefault(_PLACES[_kind(node)], []).append((node, 2 * _EDGE + _LINE * (1 + len(node.texts))))
    tall = {place: sum(height for _, height in nodes) + _ROW * (len(nodes) - 1) for place, nodes in columns.items()}
    height, boxes = max(tall.values()), dict[str, Box]()
    said = {edge.start: edge.text for edge in graph.edges if edge.text}
    for number, place in enumerate(sorted(columns)):
        y = (height - tall[place]) / 2
        for node, high in columns[place]:
            boxes[node.id] = _box(node, lineage, said.get(node.id, ""), 1 + number * (_WIDTH + _COLUMN), y + 1, high)
            y += high + _ROW
    arrows = tuple(_arrow(edge, boxes) for edge in graph.edges)
    width = len(columns) * (_WIDTH + _COLUMN) - _COLUMN
    return Drawing(width + 2, height + 2, tuple(boxes.values()), arrows, omitted)


def _shortened(graph: Graph, derived: Sequence[ModelVersion]) -> tuple[Graph, int]:
    """The graph with the latest promotions alone, and with the versions that were made from this one."""
    promotions = [node for node in graph.nodes if node.kind == "promotion"]
    gone = {node.id for node in promotions[:-SHOWN]}
    made = [Node(f"derived{each.version}", "base", (each.label,)) for each in derived[:SHOWN]]
    return Graph(
        (*(node for node in graph.nodes if node.id not in gone), *made),
        (*(edge for edge in graph.edges if edge.stop not in gone), *(Edge("version", node.id) for node in made)),
    ), len(gone)


def _kind(node: Node) -> str:
    return "derived" if node.id.startswith("derived") else node.kind


def _box(node: Node, lineage: Lineage, said: str, x: float, y: float, height: float) -> Box:
    texts = [one_line(text) for text in node.texts]
    lines = tuple(text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}\u2026" for text in texts)
    return Box(x, y, _WIDTH, height, _kind(node), said or _SAID[_kind(node)], lines, "; ".join(texts), _link(node, lineage))


def _link(node: Node, lineage: Lineage) -> str:
    """The page that a box leads to; empty if it leads to none."""
    version, model = lineage.version, quote(lineage.version.model, safe="")
    found = ""
    match _kind(node):
        case "data" if lineage.data:
            found = f"/data/{quote(lineage.data.path, safe='')}"
        case "gallery":
            found = f"/data/{quote(lineage.gallery[int(node.id.removeprefix('gallery')) - 1].path, safe='')}"
        case "base":
            found = f"/models/{model}/{quote(version.base_version, safe='')}"
        case "derived":
            found = f"/models/{model}/{quote(node.id.removeprefix('derived'), safe='')}"
        case "run" if lineage.run:
            found = f"/runs/{quote(lineage.run.id, safe='')}"
        case "promotion":
            found = f"/history?model={model}"
    return found


def _arrow(edge: Edge, boxes: dict[str, Box]) -> str:
    start, stop = boxes[edge.start], boxes[edge.stop]
    x, y, to_x, to_y = start.x + start.width, start.y + start.height / 2, stop.x - 6, stop.y + stop.height / 2
    bend = (to_x - x) / 2
    return f"M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
