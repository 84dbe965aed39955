"""The model card (Mitchell et al., Model Cards for Model Reporting, 2019): what a release is for, and where it falls short.

Everything in it follows from report.json. No sentence stands here that the figures do not bear out.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import setting_names
from model.evaluation.bootstrap import worst_first
from model.evaluation.metrics import FIGURES

CARD = "model_card.md"
NOT_STATED = "not stated; set data.licence"
ROWS = 20
"""Groups in the card's table: the worst. The others are in report.json."""
FEW_CLASSES = 20
_NAMED = 5
Report = Mapping[str, Any]


class Markdown(str):
    """Text that is Markdown already; any other is escaped."""

    __slots__ = ()


def render_card(title: str, report: Report) -> str:
    """The card of a release, in Markdown.

    Args:
        title: Its heading.
        report: As `model.evaluation.report.write_report` makes it from what `model.evaluation.evaluate` hands it.
    """
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
    what, groups = grouped(report)
    data = report["data"]
    return environment.get_template(CARD).render(
        title=title,
        report=report,
        figures=FIGURES,
        statements=statements(report),
        what=what,
        groups=groups,
        rows=ROWS,
        licences={**report["licences"], "data": data["licence"] or NOT_STATED},
        command=" ".join(["glocal run --data", f"{data['path']}@{data['rev']}", *_changed(report["settings"])]),
    )


def statements(report: Report) -> dict[str, list[str]]:
    """What the figures say of the use of a model, as sentences under their headings."""
    return {"Intended use": _uses(report), "Out of scope and limits": [*_limits(report), *_limits_by_group(report)]}


def grouped(report: Report) -> tuple[str, list[dict[str, Any]]]:
    """`group` or `class`, whichever the figures are broken down by, and the rows, the worst first."""
    return ("group", worst_first(report["by_group"])) if report["by_group"] else ("class", worst_first(report["by_class"]))


def _uses(report: Report) -> list[str]:
    gallery, test = report["gallery"], report["splits"]["test"]
    said = [
        f"Given an image, to find images of the same thing among the {gallery['samples']:,} of {gallery['classes']:,} classes "
        "in its gallery, the nearest first by cosine similarity.",
        f"For classes that it was not trained on, too: it was tested on {test['classes']:,} such classes and on no others.",
    ]
    for rate, found in report["calibration"].get("verify", {}).items():
        said.append(
            f"To tell whether two images show the same thing: above a similarity of {found['threshold']:.3f}, "
            f"at most {100 * float(rate):g} % of the unlike pairs of validation images were taken for alike, "
            f"and {100 * found['true_accept_rate']:.1f} % of the like ones were recognised."
        )
    return said


def _limits(report: Report) -> list[str]:
    gain, data, size = report["gain"], report["data"]["path"], report["settings"]["model"]["image_size"]
    said = [
        f"Nothing was measured on other data than {data}: not other things, nor other places, light or cameras.",
        f"For {100 * (1 - report['recall_at_1']):.1f} of 100 queries the nearest neighbour was of another class.",
        "There is always a nearest neighbour, also of a thing that is not in the gallery.",
        *_strangers(report["calibration"]),
        f"An image is squeezed to a square of {size} x {size} pixels: finer detail, and its proportions, are not seen.",
        f"{report['queries_without_match']:,} of {report['queries']:,} queries had no other image of their class "
        "to find; they count in no figure.",
    ]
    if gain["interval"][1] < 0:
        said.append("Training hurt: MAP@R is below the untrained trunk's.")
    elif gain["interval"][0] <= 0:
        said.append("Training made no clear difference: the interval of its gain in MAP@R holds 0.")
    if report["classes"] < FEW_CLASSES:
        said.append(f"With only {report['classes']} test classes the intervals are likely to be too narrow.")
    return said


def _strangers(calibration: Report) -> list[str]:
    if not calibration.get("identify"):
        return ["No threshold was calibrated: a similarity alone does not tell whether an answer is right."]
    return [
        f"For at most {100 * float(rate):g} % of the validation images the best match among other classes had a similarity "
        f"above {found['threshold']:.3f}: what is not in the gallery may score up to that."
        for rate, found in calibration["identify"].items()
    ]


def _limits_by_group(report: Report) -> list[str]:
    what, rows = grouped(report)
    plural = "groups" if what == "group" else "classes"
    worst = ", ".join(f"{row['name']} ({row['map_at_r']:.3f})" for row in rows[:_NAMED])
    below = [row["name"] for row in rows if row["map_at_r"] < row["untrained"]]
    named = ", ".join(below[:_NAMED]) + (", ..." if len(below) > _NAMED else "")
    said = [
        f"Of {len(rows)} {plural} the lowest MAP@R have: {worst}.",
        f"{len(below)} of {len(rows)} {plural} have a lower MAP@R than under the untrained trunk{': ' if below else ''}{named}.",
    ]
    if what == "class":
        said.append("The data name no groups: figures by class cannot show what classes share, such as light, camera or place.")
    return said


def _changed(settings: Report) -> list[str]:
    """The settings of a run that are not the defaults, as words for its command line."""
    from model.config import RunConfig

    defaults, words = RunConfig().model_dump(), []
    for name in setting_names():
        section, key = name.split(".")
        value = settings.get(section, {}).get(key, defaults[section][key])
        if value != defaults[section][key]:
            words.append(f"--set {shlex.quote(f'{name}={value}')}")
    return words


def _escaped(value: Any) -> Any:
    """A value as Markdown shows it letter by letter, on one line."""
    if not isinstance(value, str) or isinstance(value, Markdown):
        return value
    return re.sub(r"([\\`*_{}\[\]<>|~&#!])", r"\\\1", " ".join(value.split()))


def _plain(value: Any) -> Markdown:
    """A value within a block of code, which it cannot end."""
    return Markdown(" ".join(str(value).replace("`", "'").split()))


def _code(value: Any) -> Markdown:
    """A value as code, in a table or out of one."""
    return Markdown(f"`{_plain(value)}`".replace("|", r"\|"))


def _interval(row: Report, name: str) -> Markdown:
    """A figure with its interval."""
    lower, upper = row[f"{name}_interval"]
    return Markdown(f"{row[name]:.3f} [{lower:.3f}, {upper:.3f}]")
