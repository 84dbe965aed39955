"""The lineage of a version as a flow chart in Mermaid's language, which GitHub and many wikis draw."""

from datetime import UTC, datetime

from model.schemas.data_pin import DataPin
from model.schemas.lineage import Lineage
from model.schemas.promotion import Promotion
from model.schemas.run_record import RunRecord
from model.text import counted, excerpt

_FIGURES = {"recall_at_1": "Recall@1", "map_at_r": "MAP@R"}


def lineage_chart(lineage: Lineage) -> str:
    """The chart: data, base version and run lead to the version; the gate's decision and the promotions follow from it."""
    version = lineage.version
    lines = ["flowchart LR", f"    version{_node(_version(lineage))}"]
    if lineage.data:
        lines.append(f"    data{_node(_data(lineage.data))} -- trained on --> version")
    lines += [f"    gallery{n}{_node(_data(pin))} -- gallery --> version" for n, pin in enumerate(lineage.gallery, 1)]
    if version.base_version:
        lines.append(f"    base{_node([f'{version.model} version {version.base_version}'])} -- gallery changed --> version")
    if lineage.run:
        lines.append(f"    run{_node(_run(lineage.run, version.code_revision))} -- made --> version")
    if lineage.decision:
        verdict = "passed" if lineage.decision.passed else "refused"
        lines.append(f"    version --> gate{_node([f'gate {verdict}', *lineage.decision.refused])}")
    after = "gate" if lineage.decision else "version"
    lines += [f"    {after} --> promotion{n}{_node(_promotion(each))}" for n, each in enumerate(lineage.promotions, 1)]
    return "\n".join(lines)


def _node(texts: list[str]) -> str:
    """The box of a node with a line for each text. Texts are of other people: nothing in them is read as Mermaid or HTML."""
    return '["' + "<br/>".join(_escaped(excerpt(text)) for text in texts if text) + '"]'


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
    return [run.name, f"by {run.user}, {run.started:%Y-%m-%d %H:%M UTC}", run.why, *code]


def _promotion(entry: Promotion) -> list[str]:
    moment = datetime.fromtimestamp((entry.ended or entry.when) / 1000, UTC)
    return [
        f"{entry.outcome} {moment:%Y-%m-%d %H:%M UTC}",
        f"{entry.label}, by {entry.by}",
        entry.why,
    ]
