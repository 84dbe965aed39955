"""The model card: intended use, limits and figures of a release (Mitchell et al., Model Cards for Model Reporting, 2019).

Its content is computed from the report, the decision of the gate and the record of the run.
"""

import re
import shlex
from pathlib import Path
from typing import Any

from model.config import setting_names
from model.evaluation.definitions import definitions
from model.evaluation.metrics import FIGURES
from model.evaluation.statements import grouped, reranking_story, statements, training_story
from model.schemas.decision import Decision
from model.schemas.figures import Figure
from model.schemas.gallery import GalleryDiff
from model.schemas.report import Report, Settings
from model.schemas.run_record import RunRecord
from model.text import isolated, one_line

CARD, GALLERY_CARD = "model_card.md", "gallery_card.md"
NOT_STATED = "not stated; set data.licence"
ROWS = 20
"""Maximum groups in the card's table, the worst ones. The others are in report.json."""


class Markdown(str):
    """Text that is Markdown already and is not escaped."""

    __slots__ = ()


def render_card(
    report: Report, *, run: RunRecord | None = None, decision: Decision | None = None, version: str | None = None
) -> str:
    """The card of a release, in Markdown.

    Args:
        report: Report of its evaluation.
        run: Run that the card is shown for.
        decision: Decision of the gate; None before it is made.
        version: Name and version of the registered model, such as `demo version 3`; None before it is registered.
    """
    what, groups = grouped(report)
    return _rendered(
        CARD,
        report=report,
        retrieval=report.retrieval,
        run=run,
        decision=decision,
        version=version,
        figures={name: title for name, title in FIGURES.items() if name in report.retrieval.figures},
        definitions=definitions(report.latency.queries),
        statements=statements(report),
        story=training_story(report.training),
        reranking=reranking_story(report),
        what=what,
        groups=groups,
        rows=ROWS,
        licences={"weights": report.licences.weights, "code": report.licences.code, "data": report.data.licence or NOT_STATED},
        command=" ".join(["glocal run", f"{report.data.path}@{report.data.rev}", *_changed(report.settings)]),
    )


def render_gallery_card(diff: GalleryDiff, base: str, decision: Decision, *, run: RunRecord | None = None) -> str:
    """The card of a release whose gallery was changed, in Markdown. Its network has a card of its own.

    Args:
        diff: What was changed.
        base: Name and version of the registered model whose gallery was changed.
        decision: Decision of the gate.
        run: Run that changed it.
    """
    return _rendered(GALLERY_CARD, diff=diff, base=base, decision=decision, run=run)


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701  # no HTML: `finalize` escapes for Markdown
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": _code, "plain": _plain, "interval": _interval}
    return environment.get_template(template).render(**values)


def _changed(settings: Settings) -> list[str]:
    """The settings of a run that are not the defaults, as words for its command line."""
    from model.config import RunConfig

    defaults, words = RunConfig().model_dump(mode="json"), []
    for name in setting_names():
        section, key = name.split(".")
        value = settings.get(section, {}).get(key, defaults[section][key])
        if value != defaults[section][key]:
            words.append(f"--set {shlex.quote(f'{name}={value}')}")
    return words


def _escaped(value: Any) -> Any:
    """A value on one line, with the characters escaped that Markdown would interpret."""
    if not isinstance(value, str) or isinstance(value, Markdown):
        return value
    return re.sub(r"([\\`*_{}\[\]<>|~&#!$])", r"\\\1", isolated(" ".join(value.split())))


def _plain(value: Any) -> Markdown:
    """A value within a block of code, without the backticks that could end the block."""
    return Markdown(one_line(str(value).replace("`", "'")))


def _code(value: Any) -> Markdown:
    """A value as code, within a table or outside."""
    return Markdown(f"`{_plain(value)}`".replace("|", r"\|"))


def _interval(figure: Figure) -> Markdown:
    """A figure with its interval."""
    return Markdown(f"{figure.value:.3f} [{figure.lower:.3f}, {figure.upper:.3f}]")
