"""The lineage of a version as a graph, and that as a flow chart in Mermaid's language, which GitHub and many wikis draw."""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from model.schemas.data_pin import DataPin
from model.schemas.lineage import Lineage
from model.schemas.promotion import Promotion
from model.schemas.run_record import RunRecord
from model.text import counted, excerpt

Kind = Literal["data", "gallery", "base", "run", "version", "gate", "promotion"]
_FIGURES = {"recall_at_1": "Recall@1", "map_at_r": "MAP@R"}


class Node(NamedTuple):
    """One box.

    Attributes:
        id: Its id: the kind, and a number where there are several.
        kind: What it stands for.
        texts: Its lines, which are other people's text.
    """

    id: str
    kind: Kind
    texts: tuple[str, ...]


class Edge(NamedTuple):
    """An arrow between two boxes, by their ids, with a text that may be empty."""

    start: str
    stop: str
    text: str = ""


class Graph(NamedTuple):
    """The boxes and the arrows."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def lineage_graph(lineage: Lineage) -> Graph:
    """The graph: data, base version and run lead to the version; the gate's decision and the promotions follow from it."""
    version = lineage.version
    nodes, edges = [_node("version", *_version(lineage))], list[Edge]()

    def before(text: str, node: Node) -> None:
        nodes.append(node)
        edges.append(Edge(node.id, "version", text))

    if lineage.data:
        before("trained on", _node("data", *_data(lineage.data)))
    for number, pin in enumerate(lineage.gallery, 1):
        before("gallery", _node("gallery", *_data(pin), number=number))
    if version.base_version:
        before("gallery changed", _node("base", f"{version.model} version {version.base_version}"))
    if lineage.run:
        before("made", _node("run", *_run(lineage.run, version.code_revision)))
    if lineage.decision:
        nodes.append(_node("gate", f"gate {'passed' if lineage.decision.passed else 'refused'}", *lineage.decision.refused))
        edges.append(Edge("version", "gate"))
    after = "gate" if lineage.decision else "version"
    for number, entry in enumerate(lineage.promotions, 1):
        nodes.append(_node("promotion", *_promotion(entry), number=number))
        edges.append(Edge(after, nodes[-1].id))
    return Graph(tuple(nodes), tuple(edges))


def lineage_chart(lineage: Lineage) -> str:
    """The graph in Mermaid's language. Texts are of other people: nothing in them is read as Mermaid or HTML."""
    graph = lineage_graph(lineage)
    lines = [f'{node.id}["{"<br/>".join(_escaped(excerpt(text)) for text in node.texts)}"]' for node in graph.nodes]
    lines += [f"{edge.start} {f'-- {edge.text} ' if edge.text else ''}--> {edge.stop}" for edge in graph.edges]
    return "\n".join(["flowchart LR", *(f"    {line}" for line in lines)])


def _node(kind: Kind, *texts: str, number: int = 0) -> Node:
    return Node(f"{kind}{number or ''}", kind, tuple(text for text in texts if text))


def _escaped(text: str) -> str:
    """The text with every character that Mermaid, HTML or Markdown might read as its number, as Mermaid writes it."""
    return "".join(each if each.isalnum() or each in " .,:-@/+()" else f"#{ord(each)};" for each in text)


def _version(lineage: Lineage) -> list[str]:
    version = lineage.version
    figures = [f"{title} {lineage.figures[name].value:.3f}" for name, title in _FIGURES.items() if name in lineage.figures]
    states = [*version.aliases, *(["serves"] if lineage.serves else [])]
    return [version.label, ", ".join(states), f"release {version.release}", ", ".join(figures)]


def _data(pin: DataPin) -> list[str]:
    return [pin.named, f"{counted(pin.images, 'image')}, {counted(pin.classes, 'class', 'classes')}", f"md5 {pin.md5}"]


def _run(run: RunRecord, code_revision: str) -> list[str]:
    code = [f"code {code_revision}", f"commit {run.git_commit[:12]}" if run.git_commit else ""]
    return [run.name, f"by {run.user}", f"{run.started:%Y-%m-%d %H:%M UTC}", run.why, *code]


def _promotion(entry: Promotion) -> list[str]:
    moment = datetime.fromtimestamp((entry.ended or entry.when) / 1000, UTC)
    return [
        f"{entry.outcome} by {entry.by}",
        f"{moment:%Y-%m-%d %H:%M UTC}",
        entry.label,
        entry.why,
    ]
